"""When a run's curve reaches a level, and how many times sooner one arm reaches it than another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SHARES = (0.5, 0.8, 0.95, 1.0)  # of the rise of the baseline, from its first evaluation to its level at the end
LAST_SHARE = 0.1  # of the evaluations, whose mean is the level at the end
LEAST_LAST = 3


def last_window(evaluations: int) -> int:
    """How many evaluations give the level at the end: 10 %, at least 3."""
    return max(LEAST_LAST, round(LAST_SHARE * evaluations))


def isotonic(level: Floats) -> Floats:
    """The rising curve (E,) nearest to a curve (E,) in least squares (pool adjacent violators).

    Ayer et al. 1955; Barlow et al. 1972, Statistical inference under order restrictions.
    """
    means: list[float] = []
    sizes: list[int] = []
    for value in level.tolist():
        mean, size = value, 1
        while means and means[-1] >= mean:
            before, count = means.pop(), sizes.pop()
            mean, size = (mean * size + before * count) / (size + count), size + count
        means.append(mean)
        sizes.append(size)
    return np.repeat(np.array(means, dtype=np.float64), sizes)


def first_passage(rising: Floats, level: float) -> float:
    """Where a rising curve (E,) first has a level, in evaluations from the first (0.0), linear in between.

    inf where the curve never reaches it: censored, later than everything that was seen.
    """
    # a mean of equal values differs from them by rounding; of the curve's own rise, so that no unit counts
    tie = 1e-9 * float(rising[-1] - rising[0]) + 8 * np.finfo(np.float64).eps * abs(level) if len(rising) else 0.0
    after = int(np.searchsorted(rising, level - tie, side="left"))
    if after == 0:
        return 0.0
    if after == len(rising):
        return math.inf
    low, high = float(rising[after - 1]), float(rising[after])
    return after - 1 + min(1.0, (level - low) / (high - low))


def at_evaluation(time: Floats, where: float) -> float:
    """The time of a fractional evaluation; inf stays inf."""
    return float(np.interp(where, np.arange(len(time)), time)) if math.isfinite(where) else math.inf


@dataclass(frozen=True)
class Speedup:
    """When the runs of two arms reach one level."""

    share: float  # of the baseline's rise
    level: float
    scratch: tuple[float | None, ...]  # time of each run; None: not reached until the end (censored)
    transfer: tuple[float | None, ...]
    ratio: float  # median time of scratch over that of transfer; inf: transfer has it from the first evaluation on
    bound: str  # "": as it is; "at least", "at most": one median is not reached; "unknown": neither, or both at once


def sooner(
    scratch: Sequence[tuple[Floats, Floats]],
    transfer: Sequence[tuple[Floats, Floats]],
    shares: Sequence[float] = SHARES,
) -> tuple[Speedup, ...]:
    """How many times sooner transfer reaches what scratch reaches, for each share of scratch's rise.

    A share's level is scratch's mean first level plus the share of its mean rise to the level at the end. First
    passages are those of each run's isotonic curve. A run that never reaches the level counts as later than all others
    and is never dropped; where that makes a median unknown, the ratio is a bound.

    Args:
        scratch: Times (E,), from 0, and levels (E,), higher is better, of each run; any unit of time.
        transfer: The same of the other arm, in the same unit.
        shares: Of the rise of scratch.

    Returns:
        One entry for each share; none where scratch has no runs or does not rise.
    """
    curves = [level for _, level in scratch if len(level)]
    if not curves or not transfer:
        return ()
    first = float(np.mean([level[0] for level in curves]))
    last = float(np.mean([level[-last_window(len(level)) :].mean() for level in curves]))
    if not last > first:
        return ()
    speedups = []
    for share in shares:
        level = first + share * (last - first)
        slow, fast = ([_time_to(time, curve, level) for time, curve in arm] for arm in (scratch, transfer))
        ratio, bound = _ratio(slow, fast, _end(scratch), _end(transfer))
        speedups.append(Speedup(share, level, _seen(slow), _seen(fast), ratio, bound))
    return tuple(speedups)


def _time_to(time: Floats, level: Floats, wanted: float) -> float:
    return at_evaluation(time, first_passage(isotonic(level), wanted)) if len(level) else math.inf


def _end(arm: Sequence[tuple[Floats, Floats]]) -> float:
    return min((float(time[-1]) for time, _ in arm if len(time)), default=math.nan)


def _ratio(slow: Sequence[float], fast: Sequence[float], slow_end: float, fast_end: float) -> tuple[float, str]:
    slow_median, fast_median = _median(slow), _median(fast)
    if math.isinf(slow_median) and math.isinf(fast_median):
        return math.nan, "unknown"
    if math.isinf(slow_median):
        return (slow_end / fast_median if fast_median > 0 else math.inf), "at least"
    if math.isinf(fast_median):
        return slow_median / fast_end, "at most"
    if fast_median <= 0:
        return (math.inf, "") if slow_median > 0 else (math.nan, "unknown")
    return slow_median / fast_median, ""


def _median(times: Sequence[float]) -> float:
    """The median; of an even number with a censored half the later of the two in the middle."""
    ordered = sorted(times)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return math.inf if math.isinf(high) else (low + high) / 2


def _seen(times: Sequence[float]) -> tuple[float | None, ...]:
    return tuple(time if math.isfinite(time) else None for time in times)

"""Speed of two arms through the levels that both of their curves pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.report.curves.level_passage import at_evaluation, first_passage, isotonic
from headstart.report.statistics.crossed_intervals import (
    Contributions,
    VarianceComponents,
    crossed_interval,
    crossed_parts,
    parts_over_seeds,
)
from headstart.report.statistics.jackknife import pseudo_from
from headstart.report.statistics.seed_intervals import Interval, interval_of, t_interval

Floats = NDArray[np.float64]

TRIMMED = (
    0.2  # of the common range, at each end: there noise and the isotonic curve's bias decide when a level is passed
)
LAST = 3  # evaluations whose mean is the end of an arm
LEAST_RANGE = 0.05  # of a share
NOISES = 4.0  # standard deviations of one evaluation that the common range must be
LEAST_DURATION = 0.25  # evaluations
LEAST_SEEN = 1.2  # evaluations that the faster arm must take on average: between two of them no rate is seen
_WEIGHTS = np.linspace(-1, 1, 9) / (np.linspace(-1, 1, 9) @ np.linspace(0, 1, 9))  # 1 for a straight line
_NONE = Interval(math.nan, math.nan, math.nan, 0, math.nan, False)


@dataclass(frozen=True)
class TimedCurve:
    """The learning curve of one run.

    Args:
        time: When each evaluation was, (E,), rising: the learning rates of all steps so far over their peak.
        level: The metric, (E,), higher is better (a loss with its sign turned).
        without: The metric without each group of images, (G, E) (`without_groups`); None where runs share no images.
    """

    time: Floats
    level: Floats
    without: Floats | None = None


@dataclass(frozen=True)
class Slope:
    """How many times faster transfer goes through the levels that both arms pass."""

    difference: Interval  # of ln(duration of scratch / duration of transfer); above 0: transfer is faster
    levels: tuple[float, float]  # between which it was timed; nan where nothing is common
    why: str  # not measurable: the reason and what to do; "" where it is measured
    scratch: tuple[float, ...] = ()  # durations, in the unit of time
    transfer: tuple[float, ...] = ()
    evaluations: float = math.nan  # that the faster arm takes on average
    parts: VarianceComponents | None = None  # variance components of the log ratio; its images are groups of images


def without_groups(answers: NDArray[np.generic], group: NDArray[np.intp], groups: int) -> Floats:
    """The level at each evaluation without each group of images, (G, E), for a metric that is a mean over images.

    answers (E, N): right or wrong, or any metric of an image, higher is better; group (N,): `image_groups`.
    """
    member = np.zeros((groups, len(group)))
    member[group, np.arange(len(group))] = 1
    inside = member @ np.asarray(answers, dtype=np.float64).T
    whole: Floats = (inside.sum(axis=0) - inside) / np.maximum(len(group) - member.sum(axis=1), 1)[:, None]
    return whole


def slope(
    scratch: Sequence[TimedCurve],
    transfer: Sequence[TimedCurve],
    *,
    images: int | None,
    share: bool,
) -> Slope:
    """Log ratio of the times that two arms take through the middle 60 % of the range of levels that both pass.

    scratch, transfer: the curves of the same seeds in the same order. images: of the measured split. share: whether
    the metric is a share of the images (accuracy, F1); of others the noise of an evaluation is that between runs.

    The range is from a, the higher of the two arms' mean first levels, to b, the lower of their mean last levels (3
    evaluations). Each run is timed on its isotonic curve between a + 0.2 (b - a) and b - 0.2 (b - a), which are equal
    for all runs; so the metric does not change when a curve is shifted in time, and assumes no form of it. A level
    that a run never reaches counts as reached at its last evaluation, which makes the slower arm less slow.
    The interval is the paired t interval over seeds, over seeds and images where `without` is given, widened on both
    sides by min(0.5/D, 1.2/D²), D the shorter arm's mean duration in evaluations: between evaluations a curve is
    no line. It cannot tell a higher rate from a higher ceiling, to which a curve rises faster at equal rates.
    """
    if not scratch or len(scratch) != len(transfer):
        return Slope(_NONE, (math.nan, math.nan), "no seed has a curve in both arms: run the same seeds in both")
    arms = (scratch, transfer)
    if min(len(curve.level) for arm in arms for curve in arm) < 2 * LAST:
        return Slope(_NONE, (math.nan, math.nan), f"fewer than {2 * LAST} evaluations: evaluate more often")
    low = max(float(np.mean([curve.level[0] for curve in arm])) for arm in arms)
    high = min(float(np.mean([curve.level[-LAST:].mean() for curve in arm])) for arm in arms)
    least = _least_range(arms, high, images, share)
    size = high - low
    if not size >= least:
        return Slope(_NONE, (math.nan, math.nan), _no_range(low, high, least))
    between = low + TRIMMED * size, high - TRIMMED * size
    timed = [[_timed(curve.time, curve.level, between) for curve in arm] for arm in arms]
    counts = [float(np.mean([evaluations for _, evaluations in arm])) for arm in timed]
    durations = [tuple(time for time, _ in arm) for arm in timed]
    fewest = min(counts)
    if fewest < LEAST_SEEN:
        why = (
            f"one arm goes through the levels that both pass within {fewest:.1f} evaluations: evaluate more often "
            "(trainer.val_check_interval)"
        )
        return Slope(_NONE, between, why, durations[0], durations[1], fewest)
    logs = [math.log(s / t) for s, t in zip(durations[0], durations[1], strict=True)]
    one_image = math.sqrt(2) / (images * (between[1] - between[0])) if share and images else 0.0
    difference, parts = _over_seeds(arms, logs, between, one_image)
    if difference.known:
        allowance = min(0.5 / fewest, 1.2 / fewest**2)
        difference = interval_of(
            difference.mean,
            difference.error,
            difference.df,
            difference.n,
            allowance=allowance,
            floored=difference.floored,
        )
    return Slope(difference, between, "", durations[0], durations[1], fewest, parts)


def _timed(time: Floats, level: Floats, between: tuple[float, float]) -> tuple[float, float]:
    """The duration from the lower to the higher level, in time and in evaluations; at least 0.25 evaluations.

    From the first passages of nine levels, weighted linearly from -1 to 1: the duration between the two ends for a
    straight line, and with all levels in it 7 % less noise than the two ends alone.
    """
    rising, last = isotonic(level), float(len(level) - 1)
    at = np.array([min(first_passage(rising, passed), last) for passed in np.linspace(*between, len(_WEIGHTS))])
    evaluations = float(_WEIGHTS @ at)
    if evaluations >= LEAST_DURATION:
        return float(_WEIGHTS @ np.interp(at, np.arange(len(time)), time)), evaluations
    half = LEAST_DURATION / 2
    middle = min(max(float(at.mean()), half), last - half)
    return at_evaluation(time, middle + half) - at_evaluation(time, middle - half), LEAST_DURATION


def _over_seeds(
    arms: tuple[Sequence[TimedCurve], Sequence[TimedCurve]],
    logs: list[float],
    between: tuple[float, float],
    resolution: float,
) -> tuple[Interval, VarianceComponents]:
    if any(curve.without is None for arm in arms for curve in arm):
        return t_interval(logs, resolution=resolution), parts_over_seeds(logs)
    seeds = []
    for slow, fast, whole in zip(*arms, logs, strict=True):
        lengths = [
            np.array([_timed(curve.time, level, between)[0] for level in curve.without])
            for curve in (slow, fast)
            if curve.without is not None
        ]
        values = pseudo_from(whole, np.log(lengths[0] / lengths[1]))
        seeds.append(Contributions(np.arange(len(values), dtype=np.uint64), values))
    return crossed_interval(seeds, resolution=resolution), crossed_parts(seeds)


def _least_range(
    arms: tuple[Sequence[TimedCurve], Sequence[TimedCurve]], high: float, images: int | None, share: bool
) -> float:
    if share and images:
        return max(LEAST_RANGE, NOISES * math.sqrt(max(0.0, high * (1 - high)) / images))
    return NOISES * _noise(arms)


def _noise(arms: tuple[Sequence[TimedCurve], Sequence[TimedCurve]]) -> float:
    """Standard deviation of one evaluation: between the runs of an arm at the end, or around a run's isotonic curve."""
    ends = [np.var([curve.level[-1] for curve in arm], ddof=1) for arm in arms if len(arm) > 1]
    around = [np.mean((curve.level - isotonic(curve.level)) ** 2) for arm in arms for curve in arm]
    return math.sqrt(max(float(np.mean(ends)) if ends else 0.0, float(np.mean(around))))


def _no_range(low: float, high: float, least: float) -> str:
    if high <= low:
        return (
            f"the arms pass no level in common: one begins at {low:.3g}, where the other ends at {high:.3g} or below; "
            "compare the levels at the end, or train longer"
        )
    return (
        f"the levels that both arms pass, {low:.3g} to {high:.3g}, are fewer than noise allows ({least:.2g}): "
        "train longer, or measure on more images"
    )

"""Verdicts of all arms in one question, with the error of the whole family held."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from headstart.report.statistics.seed_intervals import ALPHA, Interval, Verdict, equivalence_p, holm


@dataclass(frozen=True)
class Decision:
    """The word for one difference of a family."""

    verdict: Verdict
    p: float  # Holm-corrected, two-sided, of no difference
    p_equal: float  # Holm-corrected, of a difference that matters (two one-sided tests); nan without a margin
    why: str
    small: bool = False  # yes or negative transfer, and less than what matters


def decide(
    differences: Sequence[Interval],
    margins: Sequence[float | None],
    *,
    alpha: float = ALPHA,
    levels: Sequence[float] | None = None,
    unmeasurable: Sequence[str] | None = None,
    before: Sequence[Verdict | None] | None = None,
) -> list[Decision]:
    """The verdict of each difference (mode minus baseline, higher is better) of one family.

    "yes" and "negative transfer": Holm's test over the differences that have an interval. "no": two one-sided
    tests within the margin, Holm's correction over the same differences; "not significant" alone is no evidence of
    "no difference". Each of the two errors, any false yes or negative and any false no, is at most alpha in the family.

    Args:
        differences: Means with their intervals.
        margins: The smallest difference that matters; None where it is not known, and "no" is then never given.
        alpha: The error of the family.
        levels: The error that this look may spend on each, at most alpha; None for alpha. Its p-values count
            alpha/level times as much, so that Holm's correction holds for them as it holds for alpha.
        unmeasurable: Why a difference cannot be measured; "" where it can.
        before: The verdicts of an earlier look. They stay and leave the correction that they have passed (a closed
            test: the errors of the looks add up, no more).
    """
    reasons = unmeasurable or [""] * len(differences)
    settled = before or [None] * len(differences)
    open_ = [d.known and not why and math.isfinite(d.p) for d, why in zip(differences, reasons, strict=True)]
    apart = [verdict in (Verdict.YES, Verdict.NEGATIVE) for verdict in settled]
    weights = [alpha / level if level > 0 else math.inf for level in (levels or [alpha] * len(differences))]
    p = _corrected(
        [_weighted(d.p, w) for d, w in zip(differences, weights, strict=True)],
        [o and not a for o, a in zip(open_, apart, strict=True)],
    )
    equal = [
        _weighted(equivalence_p(d, m), w) if m is not None else math.nan
        for d, m, w in zip(differences, margins, weights, strict=True)
    ]
    counted = [o and s is not Verdict.NO for o, s in zip(open_, settled, strict=True)]
    p_equal = _corrected(equal, counted)
    return [
        _decision(d, m, q, e, alpha, why, was, spent=math.isinf(w))
        for d, m, q, e, why, was, w in zip(differences, margins, p, p_equal, reasons, settled, weights, strict=True)
    ]


def _weighted(p: float, weight: float) -> float:
    """p in units of alpha, 1 at most."""
    return p if math.isnan(p) else min(1.0, p * weight) if p > 0 or math.isfinite(weight) else 1.0


def _corrected(p_values: Sequence[float], counted: Sequence[bool]) -> list[float]:
    """Holm over those that count (one without p counts as a test that does not reject); nan for the others."""
    corrected = iter(holm([p for p, counts in zip(p_values, counted, strict=True) if counts]))
    return [next(corrected) if counts else math.nan for counts in counted]


def _decision(
    difference: Interval,
    margin: float | None,
    p: float,
    p_equal: float,
    alpha: float,
    why: str,
    was: Verdict | None,
    *,
    spent: bool,
) -> Decision:
    small = margin is not None and abs(difference.mean) < margin
    if was in (Verdict.YES, Verdict.NEGATIVE, Verdict.NO):
        return Decision(was, p, p_equal, "decided at an earlier look", small and was is not Verdict.NO)
    if why:
        return Decision(Verdict.NOT_MEASURABLE, p, p_equal, why)
    if difference.n < 2:
        seeds = "one pair of seeds gives" if difference.n == 1 else "no pair of seeds gives"
        return Decision(Verdict.UNDECIDED, p, p_equal, f"{seeds} no interval")
    if not difference.known:
        return Decision(
            Verdict.UNDECIDED, p, p_equal, "the seeds do not vary and the measurement's resolution is not known"
        )
    if p < alpha:
        word = Verdict.YES if difference.mean > 0 else Verdict.NEGATIVE
        return Decision(
            word, p, p_equal, "equality is ruled out" + (", yet smaller than what matters" if small else ""), small
        )
    if p_equal < alpha:
        return Decision(Verdict.NO, p, p_equal, "smaller than what matters")
    return Decision(Verdict.UNDECIDED, p, p_equal, _open(difference, margin, alpha, spent=spent))


def _open(difference: Interval, margin: float | None, alpha: float, *, spent: bool) -> str:
    if spent or alpha <= 0:
        return "this look has no error left to spend"
    if difference.p < alpha:
        return "equality is ruled out for this arm alone, not for all arms together at the error of this look"
    matters = margin is not None and max(-difference.low, difference.high) >= margin
    return "equality is possible" + (", and so is a difference that matters" if matters else "")

"""Interval as a bar on a scale that several bars share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from headstart.report.statistics.seed_intervals import Interval

BarScale = tuple[float, float]  # the least and the greatest value that bars show

EDGE = 0.06  # of a scale's length, left free on both sides


@dataclass(frozen=True)
class IntervalBar:
    """An interval on a scale that all bars beside it have; per cent of the width."""

    zero: float
    mean: float
    low: float
    high: float
    known: bool


def bar_scale(intervals: Iterable[Interval]) -> BarScale:
    """From the least end of the intervals to the greatest; 0 lies within.

    Args:
        intervals: That the bars show.
    """
    limits = [x for d in intervals for x in (d.mean, d.low, d.high) if math.isfinite(x)]
    return min([*limits, 0.0]), max([*limits, 0.0])


def interval_bar(interval: Interval, scale: BarScale) -> IntervalBar | None:
    """The bar of an interval; None where it has no mean, or the scale no length.

    Args:
        interval: That is shown.
        scale: Of all bars.
    """
    low, high = scale
    if not math.isfinite(interval.mean) or high <= low:
        return None
    edge = EDGE * (high - low)

    def place(value: float) -> float:
        return round(100 * (value - low + edge) / (high - low + 2 * edge), 2)

    ends = (interval.low, interval.high) if interval.known else (interval.mean, interval.mean)
    return IntervalBar(place(0.0), place(interval.mean), place(ends[0]), place(ends[1]), interval.known)

"""Interval in plain values, as report.json has it."""

from __future__ import annotations

from typing import Any

from headstart.report.statistics.seed_intervals import Interval


def interval_record(interval: Interval, sign: float = 1.0) -> dict[str, Any]:
    """An interval as report.json has it.

    Args:
        interval: Of a mean.
        sign: -1 where higher is better here and lower was logged.
    """
    low, high = sorted((sign * interval.low, sign * interval.high))
    return {
        "mean": sign * interval.mean,
        "low": low,
        "high": high,
        "n": interval.n,
        "p": interval.p,
        "degrees_of_freedom": interval.df,
        "spread_below_one_image": interval.floored,
    }

"""Positions and ticks of numbers on an axis, by their logarithm where they span a factor of 10."""

from __future__ import annotations

import math
from collections.abc import Sequence

from headstart.report.rendering.charts.axis_ticks import ticks
from headstart.report.rendering.charts.chart_layout import Position, Tick
from headstart.report.rendering.charts.swept_key_charts import legible, positions_of

FEW = 6  # values that are ticks themselves
SHORT = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def numeric_scale(values: Sequence[float]) -> tuple[Position, list[Tick]]:
    """The position of a value in per cent, and the ticks within the range.

    Args:
        values: All that are placed.
    """
    low, high = min(values), max(values)
    across = positions_of([low, high])
    single = sorted(set(values))
    if len(single) <= FEW:
        return across, legible(_marked(single, across))
    marks = _decades(low, high) if low > 0 and high >= 10 * low else ticks(low, high, 5)
    inside = [mark for mark in marks if low <= mark <= high] or [low, high]
    return across, legible(_marked(inside, across))


def _marked(values: Sequence[float], across: Position) -> list[Tick]:
    """Ticks of three digits, or of as many as tell them apart."""
    texts = [short_number(value) for value in values]
    if len(set(texts)) < len(texts):
        texts = [f"{value:,.6g}".replace("-", "−") for value in values]
    return [(across(value), text) for value, text in zip(values, texts, strict=True)]


def short_number(value: float) -> str:
    """12k, 3.4M, 0.05: three digits.

    Args:
        value: Any.
    """
    for factor, sign in SHORT:
        if abs(value) >= factor:
            return f"{value / factor:.3g}{sign}"
    return f"{value:.3g}".replace("-", "−")


def _decades(low: float, high: float) -> list[float]:
    """1, 2 and 5 of each power of ten; the powers alone where there are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(powers) < 4 else (1,)
    return [step * 10.0**power for power in powers for step in steps]

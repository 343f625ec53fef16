"""Ticks of a chart's axes."""

from __future__ import annotations

import math
from collections.abc import Sequence


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers that cover a range: multiples of 1, 2 or 5 times a power of ten.

    Args:
        low: The least value.
        high: The greatest value.
        about: How many ticks there should be.
    """
    if high <= low:
        low, high = low - 0.5, high + 0.5
    raw = (high - low) / (about - 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, last + 1)]


def decimals_of(marks: Sequence[float]) -> int:
    """How many decimals tell the ticks apart."""
    return max(0, -math.floor(math.log10(marks[1] - marks[0]) + 1e-9))


def tick_text(value: float, marks: Sequence[float]) -> str:
    """A tick's number, with as many decimals as tell the ticks apart."""
    return f"{value:.{decimals_of(marks)}f}".replace("-", "−")

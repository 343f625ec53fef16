"""Where do the dots and intervals of an adaptation's methods lie?"""

from __future__ import annotations

import math
from dataclasses import dataclass

from headstart.report.analysis.adaptation_comparison import Adapted
from headstart.report.rendering.chart_layout import ticks
from headstart.report.rendering.sentences import number, plus_minus


@dataclass(frozen=True)
class Row:
    """One method; places are per cent of the width."""

    label: str
    colour: int
    text: str
    mean: float
    span: tuple[float, float] | None  # of the 95 % interval; None where there is none
    seeds: tuple[tuple[float, str], ...]  # (place, what it is), one a run


@dataclass(frozen=True)
class MethodChart:
    """A row a method over one axis of accuracy."""

    rows: tuple[Row, ...]
    ticks: tuple[tuple[float, str], ...]
    baseline: float | None  # the place of its mean


def method_chart(section: Adapted, colours: dict[str, int]) -> MethodChart | None:
    """The target's test accuracy of each method, the baseline first; None where nothing was measured."""
    drawn = [one for one in section.all_methods if math.isfinite(one.test.mean)]
    ends = [x for one in drawn for x in (*one.values, one.test.low, one.test.high) if math.isfinite(x)]
    if not ends:
        return None
    marks = ticks(max(min(ends), 0.0), min(max(ends), 1.0), 6)
    low, high = marks[0], marks[-1]

    def place(value: float) -> float:
        return round(100 * (min(max(value, low), high) - low) / (high - low), 2)

    rows = [
        Row(
            label=one.label,
            colour=colours[one.label],
            text=plus_minus(one.test),
            mean=place(one.test.mean),
            span=(place(one.test.low), place(one.test.high)) if one.test.known else None,
            seeds=tuple(
                (place(value), f"seed {seed}: {number(value)}")
                for seed, value in zip(one.arm.seeds, one.values, strict=True)
                if math.isfinite(value)
            ),
        )
        for one in drawn
    ]
    base = section.baseline
    decimals = max(0, -math.floor(math.log10(marks[1] - marks[0]) + 1e-9))
    return MethodChart(
        rows=tuple(rows),
        ticks=tuple((place(value), number(value, decimals)) for value in marks),
        baseline=place(base.test.mean) if base and math.isfinite(base.test.mean) else None,
    )

"""Chart of adaptation methods: the mean, interval and seeds of each on one axis."""

from __future__ import annotations

import math
from dataclasses import dataclass

from headstart.report.analysis.adaptation_comparison import AdaptationSection
from headstart.report.rendering.charts.axis_ticks import decimals_of, ticks
from headstart.report.rendering.wording.number_format import number, plus_minus


@dataclass(frozen=True)
class MethodRow:
    """One method; positions are per cent of the width."""

    label: str
    colour: int
    text: str
    mean: float
    span: tuple[float, float] | None  # of the 95 % interval; None where there is none
    seeds: tuple[tuple[float, str], ...]  # (position, text), one a run


@dataclass(frozen=True)
class MethodChart:
    """A row for each method over one axis of accuracy."""

    rows: tuple[MethodRow, ...]
    ticks: tuple[tuple[float, str], ...]
    baseline: float | None  # the position of its mean


def method_chart(section: AdaptationSection, colours: dict[str, int]) -> MethodChart | None:
    """The target's test accuracy of each method, the baseline first; None where nothing was measured."""
    methods = [method for method in section.all_methods if math.isfinite(method.test.mean)]
    ends = [x for m in methods for x in (*m.values, m.test.low, m.test.high) if math.isfinite(x)]
    if not ends:
        return None
    marks = ticks(max(min(ends), 0.0), min(max(ends), 1.0), 6)
    low, high = marks[0], marks[-1]

    def place(value: float) -> float:
        return round(100 * (min(max(value, low), high) - low) / (high - low), 2)

    rows = [
        MethodRow(
            label=method.label,
            colour=colours[method.label],
            text=plus_minus(method.test),
            mean=place(method.test.mean),
            span=(place(method.test.low), place(method.test.high)) if method.test.known else None,
            seeds=tuple(
                (place(value), f"seed {seed}: {number(value)}")
                for seed, value in zip(method.arm.seeds, method.values, strict=True)
                if math.isfinite(value)
            ),
        )
        for method in methods
    ]
    baseline = section.baseline
    return MethodChart(
        rows=tuple(rows),
        ticks=tuple((place(value), number(value, decimals_of(marks))) for value in marks),
        baseline=place(baseline.test.mean) if baseline and math.isfinite(baseline.test.mean) else None,
    )

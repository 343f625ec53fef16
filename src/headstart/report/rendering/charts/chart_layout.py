"""Positions of the lines, bands and labels of a chart."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from headstart.report.curves.learning_curve import Floats
from headstart.report.rendering.charts.axis_ticks import tick_text, ticks

SIDE = 1000  # the SVG's own units in both directions; the page stretches it
BAR_OFFSET = 0.5  # per cent of the width between two lines' intervals at the same position
LABEL_GAP = 6.5  # per cent of the height between two labels at the lines' ends

Position = Callable[[float], float]  # a value -> per cent of the width or of the height
Tick = tuple[float, str]  # per cent, text


@dataclass(frozen=True)
class ChartSeries:
    """The values of one line, as they are to be shown."""

    label: str
    colour: int
    x: Floats  # (n,) ascending
    mean: Floats
    low: Floats  # nan where there is no interval
    high: Floats


@dataclass(frozen=True)
class ChartScale:
    """A chart's horizontal axis."""

    name: str  # a word for it, such as step
    title: str
    across: Position
    ticks: list[Tick]


@dataclass(frozen=True)
class ChartThreshold:
    """A level that a chart marks."""

    level: float
    text: str


@dataclass(frozen=True)
class ChartLine:
    """One arm in a chart."""

    label: str
    colour: int
    path: str  # of the mean, SVG path data
    band: str  # of the 95 % band; "" for one seed
    bars: str  # of the 95 % intervals, one by one, where the values of x are few
    x: list[float]  # per cent of the width; the points that the read-out shows
    y: list[float]  # per cent of the height, from the top
    at: list[float]  # the values of x
    mean: list[float]
    low: list[float | None]
    high: list[float | None]
    label_y: float  # per cent of the height, from the top


@dataclass(frozen=True)
class Chart:
    """Curves over one axis."""

    axis: str  # a word for it, such as step
    title: str  # of the axis
    what: str  # the metric
    lines: list[ChartLine]
    x_ticks: list[Tick]
    y_ticks: list[Tick]  # per cent from the top
    threshold: float | None  # per cent from the top
    threshold_text: str


def chart_of(
    series: Sequence[ChartSeries],
    scale: ChartScale,
    *,
    metric: str,
    is_share: bool,
    threshold: ChartThreshold | None = None,
    bars: bool = False,
) -> Chart:
    """The chart of these series.

    Args:
        series: The values of the lines, as they are to be shown.
        scale: The horizontal axis.
        metric: The name of what is measured.
        is_share: Whether the metric is a share, whose axis must not pass 0 and 1.
        threshold: A level that is marked where it lies within the chart.
        bars: Draw an interval at each value of x in the place of a band.
    """
    bottom, top = _value_range(series, is_share)
    marks = ticks(bottom, top, 7)
    bottom, top = min(bottom, marks[0]), max(top, marks[-1])

    def from_top(value: float) -> float:
        return 100 * (1 - (min(max(value, bottom), top) - bottom) / (top - bottom))

    middle = (len(series) - 1) / 2
    lines = [
        _line(values, scale.across, from_top, BAR_OFFSET * (number - middle) if bars else None)
        for number, values in enumerate(series)
    ]
    label_places = _spread([line.label_y for line in lines])
    is_inside = threshold is not None and math.isfinite(threshold.level) and bottom <= threshold.level <= top
    return Chart(
        axis=scale.name,
        title=scale.title,
        what=metric,
        lines=[replace(line, label_y=place) for line, place in zip(lines, label_places, strict=True)],
        x_ticks=scale.ticks,
        y_ticks=[(from_top(value), tick_text(value, marks)) for value in marks],
        threshold=from_top(threshold.level) if threshold is not None and is_inside else None,
        threshold_text=threshold.text if threshold is not None else "",
    )


def _value_range(series: Sequence[ChartSeries], is_share: bool) -> tuple[float, float]:
    """The least and the greatest value of the lines and their intervals; of a share within 0 .. 1."""
    values = np.concatenate([part for line in series for part in (line.mean, line.low, line.high)])
    values = values[np.isfinite(values)]
    bottom, top = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    return (max(bottom, 0.0), min(top, 1.0)) if is_share else (bottom, top)


def _line(series: ChartSeries, across: Position, from_top: Position, bar_offset: float | None) -> ChartLine:
    """bar_offset: of the intervals that are drawn as bars; None to draw a band."""
    x = [across(float(value)) for value in series.x]
    y = [from_top(float(value)) for value in series.mean]
    low, high = ([from_top(float(value)) for value in edge] for edge in (series.low, series.high))
    has_band = bar_offset is None and bool(np.isfinite(series.low).all())
    return ChartLine(
        label=series.label,
        colour=series.colour,
        path=_path(x, y),
        band=_path(x + x[::-1], low + high[::-1]) + "Z" if has_band else "",
        bars="" if bar_offset is None else _bars([v + bar_offset for v in x], series.low, series.high, from_top),
        x=_rounded(x),
        y=_rounded(y),
        at=series.x.tolist(),
        mean=[float(value) for value in series.mean],
        low=[float(value) if math.isfinite(value) else None for value in series.low],
        high=[float(value) if math.isfinite(value) else None for value in series.high],
        label_y=y[-1],
    )


def _path(across: Sequence[float], down: Sequence[float]) -> str:
    scale = SIDE / 100
    points = (f"{x * scale:.1f},{y * scale:.1f}" for x, y in zip(across, down, strict=True))
    return "M" + "L".join(points)


def _bars(across: Sequence[float], low: Floats, high: Floats, from_top: Position) -> str:
    scale = SIDE / 100
    return "".join(
        f"M{x * scale:.1f},{from_top(float(bottom)) * scale:.1f}V{from_top(float(top)) * scale:.1f}"
        for x, bottom, top in zip(across, low, high, strict=True)
        if math.isfinite(bottom) and math.isfinite(top)
    )


def _spread(places: Sequence[float]) -> list[float]:
    """Places moved apart until none is nearer than LABEL_GAP to its neighbour, in the same order."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    moved = [places[i] for i in order]
    for _ in range(100):
        for i in range(1, len(moved)):
            short = LABEL_GAP - (moved[i] - moved[i - 1])
            if short > 0.01:
                moved[i - 1] -= short / 2
                moved[i] += short / 2
    spread = [0.0] * len(places)
    for i, place in zip(order, moved, strict=True):
        spread[i] = place
    return spread


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 2) for value in values]

"""Charts of levels over a swept key."""

from __future__ import annotations

import math

import numpy as np

from headstart.report.analysis.swept_keys import AxisLine, SweptAxis
from headstart.report.rendering.charts.chart_layout import Chart, ChartScale, ChartSeries, Position, Tick, chart_of
from headstart.report.rendering.wording.number_format import short_values
from headstart.system.metric_direction import is_share

LOGARITHMIC = 10  # the largest value over the smallest, from which on equal ratios are equally wide
TICK_GAP = 5.0  # per cent of the width between two ticks that can be read
LETTER = 1.7  # per cent of the width of a small chart that a letter takes
MARGIN = 3.0  # per cent of the width beside the first and the last value


def axis_charts(axis: SweptAxis, colours: dict[str, int]) -> list[Chart]:
    """A chart for each metric that was measured over the axis.

    Args:
        axis: The key and the lines over it.
        colours: The number of each line's colour, by its label.
    """
    across = positions_of([at for at, _ in axis.places])
    texts = short_values([text for _, text in axis.places])
    marks = legible([(across(at), text) for (at, _), text in zip(axis.places, texts, strict=True)])
    charts = []
    for number, metric in enumerate(axis.metrics):
        series = [_series(line, metric, colours[line.label]) for line in axis.lines]
        measured = [line for line in series if line is not None]
        if measured:
            scale = ChartScale(f"figure{number}", axis.key, across, marks)
            charts.append(chart_of(measured, scale, metric=metric, is_share=is_share(metric.split()[0]), bars=True))
    return charts


def legible(marks: list[Tick]) -> list[Tick]:
    """The ticks without those that would stand on the one before."""
    readable = marks[:1]
    for mark in marks[1:]:
        letters = (len(mark[1]) + len(readable[-1][1])) / 2
        if mark[0] - readable[-1][0] >= max(TICK_GAP, LETTER * letters):
            readable.append(mark)
    return readable


def positions_of(values: list[float]) -> Position:
    """The position of a value, in per cent of the width: by its logarithm where the values span a factor of 10."""
    is_logarithmic = min(values) > 0 and max(values) >= LOGARITHMIC * min(values)
    scale: Position = math.log if is_logarithmic else float
    first = scale(min(values))
    width = (scale(max(values)) - first) or 1.0
    return lambda value: MARGIN + (100 - 2 * MARGIN) * (scale(value) - first) / width


def _series(line: AxisLine, metric: str, colour: int) -> ChartSeries | None:
    points = [(point.at, point.levels[metric].mean) for point in line.points if metric in point.levels]
    points = [(at, interval) for at, interval in points if math.isfinite(interval.mean)]
    if not points:
        return None
    x = np.array([at for at, _ in points])
    mean, low, high = (np.array([interval[i] for _, interval in points]) for i in range(3))
    return ChartSeries(line.label, colour, x, mean, low, high)

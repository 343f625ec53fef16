"""Where do the curves over an ordered axis lie?"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from headstart.report.analysis.swept_keys import Axis, Line
from headstart.report.curves.learning_curve import is_share
from headstart.report.rendering.chart_layout import Chart, Series, drawn

LOGARITHMIC = 10  # the largest value over the smallest, from which on equal ratios are equally wide
APART = 5.0  # per cent of the width between two marks that can be read
MARGIN = 3.0  # per cent of the width beside the first and the last value


def axis_charts(axis: Axis, colours: dict[str, int]) -> list[Chart]:
    """A chart for each figure that was measured along the axis."""
    across = places_of([at for at, _ in axis.places])
    found = []
    for number, figure in enumerate(axis.figures):
        series = [_series(line, figure, colours[line.label]) for line in axis.lines]
        known = [one for one in series if one is not None]
        if known:
            chart = drawn(
                known,
                axis=f"figure{number}",
                title=axis.key,
                what=figure,
                is_share=is_share(figure.split()[0]),
                across=across,
                x_ticks=legible([(across(at), text) for at, text in axis.places]),
                bars=True,
            )
            found.append(chart)
    return found


def legible(marks: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """The marks without those that would stand on the one before."""
    kept = marks[:1]
    for mark in marks[1:]:
        if mark[0] - kept[-1][0] >= APART:
            kept.append(mark)
    return kept


def places_of(values: list[float]) -> Callable[[float], float]:
    """Where a value lies, in per cent of the width: even, or by its logarithm where the values span a factor of 10."""
    ratio = min(values) > 0 and max(values) >= LOGARITHMIC * min(values)
    scale: Callable[[float], float] = math.log if ratio else float
    first = scale(min(values))
    wide = (scale(max(values)) - first) or 1.0
    return lambda value: MARGIN + (100 - 2 * MARGIN) * (scale(value) - first) / wide


def _series(line: Line, figure: str, colour: int) -> Series | None:
    known = [(point.at, point.levels[figure].mean) for point in line.points if figure in point.levels]
    known = [(at, interval) for at, interval in known if math.isfinite(interval.mean)]
    if not known:
        return None
    x = np.array([at for at, _ in known])
    mean, low, high = (np.array([interval[i] for _, interval in known]) for i in range(3))
    return Series(line.label, colour, x, mean, low, high)

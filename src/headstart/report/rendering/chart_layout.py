"""Places of the lines, bands and labels of a chart."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from headstart.report.analysis.study_analysis import ArmSummary, Section, Study
from headstart.report.curves.learning_curve import Floats, lower_is_better
from headstart.report.statistics.seed_intervals import t_interval

SIDE = 1000  # the SVG's own units in both directions; the page stretches it
BESIDE = 0.5  # per cent of the width between two lines' intervals at the same place
LABEL_GAP = 6.5  # per cent of the height between two labels at the lines' ends


@dataclass(frozen=True)
class Series:
    """What a line is drawn from, as it is to be shown."""

    label: str
    colour: int
    x: Floats  # (n,) ascending
    mean: Floats
    low: Floats  # nan where there is no interval
    high: Floats


@dataclass(frozen=True)
class Line:
    """One arm in a chart."""

    label: str
    colour: int
    path: str  # of the mean, SVG path data
    band: str  # of the 95 % band; "" for one seed
    bars: str  # of the 95 % intervals, one by one, where the places are few
    x: list[float]  # per cent of the width; the points that the read-out shows
    y: list[float]  # per cent of the height, from the top
    at: list[float]  # as the axis counts
    mean: list[float]
    low: list[float | None]
    high: list[float | None]
    label_y: float  # per cent of the height, from the top


@dataclass(frozen=True)
class Chart:
    """Curves over one axis."""

    axis: str  # a word for it, such as step
    title: str  # of the axis
    what: str  # is measured
    lines: list[Line]
    x_ticks: list[tuple[float, str]]  # (per cent, text)
    y_ticks: list[tuple[float, str]]  # (per cent from the top, text)
    threshold: float | None  # per cent from the top
    threshold_text: str


def charts(section: Section, study: Study, colours: dict[str, int]) -> list[Chart]:
    """The section's chart by optimizer step and, where it is known, by examples."""
    sign = -1.0 if lower_is_better(study.metric) else 1.0
    titles = {"step": "optimizer steps", "examples": "training images seen"}
    found = [_chart(section, study, axis, title, sign, colours) for axis, title in titles.items()]
    return [chart for chart in found if chart is not None]


def mean_and_band(arm: ArmSummary, axis: str, resolution: float) -> tuple[Floats, Floats, Floats, Floats]:
    """x, mean, low, high (n,) over an arm's runs, at each x that one of them was evaluated at.

    Only where all runs reach, but for those that diverged, where others did not: they are cut. Between a run's own
    evaluations its line is taken.
    """
    runs = [m for m in arm.runs if not m.run.has_diverged] or arm.runs
    curves = [(getattr(m.curve, axis), m.curve.level) for m in runs]
    curves = [(x, y) for x, y in curves if len(x) > 1 and np.isfinite(x).all() and np.isfinite(y).all()]
    if not curves:
        return (np.empty(0),) * 4
    first, last = max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves)
    grid = np.unique(np.concatenate([x for x, _ in curves]))
    grid = grid[(grid >= first) & (grid <= last)]
    levels = np.array([np.interp(grid, x, y) for x, y in curves])
    bands = [t_interval(levels[:, i].tolist(), resolution=resolution) for i in range(len(grid))]
    mean, low, high = (np.array([band[i] for band in bands]) for i in range(3))
    return grid, mean, low, high


def _chart(section: Section, study: Study, axis: str, title: str, sign: float, colours: dict[str, int]) -> Chart | None:
    series = [
        Series(arm.label, colours[arm.label], x, *(sign * part for part in (mean, *_ends(sign, low, high))))
        for arm in section.all_arms
        for x, mean, low, high in [mean_and_band(arm, axis, study.resolution)]
        if len(x)
    ]
    if not series:
        return None
    right = max(float(one.x[-1]) for one in series) or 1.0
    return drawn(
        series,
        axis=axis,
        title=title,
        what=study.metric,
        is_share=study.resolution > 0,
        across=lambda value: 100 * value / right,
        x_ticks=[(100 * v / right, f"{v:,.0f}") for v in ticks(0, right, 6) if v <= right * 1.001],
        threshold=sign * section.threshold,
        threshold_text=f"level at the end of {section.baseline.label}" if section.baseline else "",
    )


def _ends(sign: float, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """The ends of a band in the order that they have once they are multiplied by the sign."""
    return (low, high) if sign > 0 else (high, low)


def drawn(
    series: Sequence[Series],
    *,
    axis: str,
    title: str,
    what: str,
    is_share: bool,
    across: Callable[[float], float],
    x_ticks: list[tuple[float, str]],
    threshold: float = math.nan,
    threshold_text: str = "",
    bars: bool = False,
) -> Chart:
    """The chart of these lines, as they are to be shown.

    across: a value -> per cent of the width. bars: an interval at each place in the place of a band.
    """
    values = np.concatenate([part for one in series for part in (one.mean, one.low, one.high)])
    values = values[np.isfinite(values)]
    bottom, top = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    if is_share:  # its band may pass 1, its axis must not
        bottom, top = max(bottom, 0.0), min(top, 1.0)
    y_marks = ticks(bottom, top, 7)
    bottom, top = min(bottom, y_marks[0]), max(top, y_marks[-1])

    def from_top(value: float) -> float:
        return 100 * (1 - (min(max(value, bottom), top) - bottom) / (top - bottom))

    lines = []
    for number, one in enumerate(series):
        x = [across(float(v)) for v in one.x]
        down = [from_top(float(v)) for v in one.mean]
        edges = [[from_top(float(v)) for v in edge] for edge in (one.low, one.high)]
        known = bool(np.isfinite(one.low).all())
        beside = BESIDE * (number - (len(series) - 1) / 2)
        lines.append(
            Line(
                label=one.label,
                colour=one.colour,
                path=_path(x, down),
                band=_path(x + x[::-1], edges[0] + edges[1][::-1]) + "Z" if known and not bars else "",
                bars=_bars([place + beside for place in x], one.low, one.high, from_top) if bars else "",
                x=_rounded(x),
                y=_rounded(down),
                at=one.x.tolist(),
                mean=[float(v) for v in one.mean],
                low=[float(v) if math.isfinite(v) else None for v in one.low],
                high=[float(v) if math.isfinite(v) else None for v in one.high],
                label_y=down[-1],
            )
        )
    places = _spread([line.label_y for line in lines])
    lines = [Line(**{**vars(line), "label_y": place}) for line, place in zip(lines, places, strict=True)]
    inside = math.isfinite(threshold) and bottom <= threshold <= top
    return Chart(
        axis=axis,
        title=title,
        what=what,
        lines=lines,
        x_ticks=x_ticks,
        y_ticks=[(from_top(v), _short(v, y_marks)) for v in y_marks],
        threshold=from_top(threshold) if inside else None,
        threshold_text=threshold_text,
    )


def _path(across: Sequence[float], down: Sequence[float]) -> str:
    scale = SIDE / 100
    points = (f"{x * scale:.1f},{y * scale:.1f}" for x, y in zip(across, down, strict=True))
    return "M" + "L".join(points)


def _bars(across: Sequence[float], low: Floats, high: Floats, from_top: Callable[[float], float]) -> str:
    scale = SIDE / 100
    return "".join(
        f"M{x * scale:.1f},{from_top(float(bottom)) * scale:.1f}V{from_top(float(top)) * scale:.1f}"
        for x, bottom, top in zip(across, low, high, strict=True)
        if math.isfinite(bottom) and math.isfinite(top)
    )


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers that cover a range: multiples of 1, 2 or 5 times a power of ten."""
    if high <= low:
        low, high = low - 0.5, high + 0.5
    raw = (high - low) / (about - 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, last + 1)]


def _short(value: float, marks: Sequence[float]) -> str:
    decimals = max(0, -math.floor(math.log10(marks[1] - marks[0]) + 1e-9))
    return f"{value:.{decimals}f}".replace("-", "−")


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
    found = [0.0] * len(places)
    for i, place in zip(order, moved, strict=True):
        found[i] = place
    return found


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(v, 2) for v in values]

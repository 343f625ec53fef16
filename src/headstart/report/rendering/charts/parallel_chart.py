"""Parallel coordinates: an axis for each setting and the figure, a line for each setting of all."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from headstart.report.leaderboard.run_entries import BoardColumn
from headstart.report.leaderboard.setting_groups import SettingGroup
from headstart.report.leaderboard.setting_importance import numbers_of
from headstart.report.leaderboard.study_ranking import StudyRanking
from headstart.report.rendering.charts.chart_layout import SIDE, Tick
from headstart.report.rendering.charts.numeric_scale import numeric_scale
from headstart.report.rendering.charts.swept_key_charts import MARGIN

MOST_AXES = 7  # besides the figure's; of more, those that matter most
MOST_NAMES = 12  # values without an order that an axis has room for
BEST_SHARE = 0.1  # of the settings, that are coloured
UNSET = "not set"

Places = Callable[[SettingGroup], float]


@dataclass(frozen=True)
class ParallelAxis:
    """One axis.

    Attributes:
        title: The key, or the figure.
        x: Per cent of the width.
        ticks: Per cent of the height from the top, text.
    """

    title: str
    x: float
    ticks: list[Tick]


@dataclass(frozen=True)
class ParallelChart:
    """The axes and lines.

    Attributes:
        axes: From left to right, the figure last.
        others: SVG path data of the lines that are not among the best.
        best: Of the best tenth.
        top: Of the best one.
        count: How many settings are in `best`.
    """

    axes: list[ParallelAxis]
    others: str
    best: str
    top: str
    count: int


def parallel_chart(ranking: StudyRanking) -> ParallelChart | None:
    """The chart; None with fewer than two settings that differ, or fewer than four that were measured.

    Args:
        ranking: The runs, ranked.
    """
    figure = ranking.board.figure
    groups = [group for group in ranking.groups if math.isfinite(group.means[figure.key])]
    keys = _keys(ranking, groups)
    if len(keys) < 2 or len(groups) < 4:
        return None
    scales = [_setting_axis(key, groups) for key in keys] + [_figure_axis(figure, groups)]
    across = [MARGIN + (100 - 2 * MARGIN) * i / (len(scales) - 1) for i in range(len(scales))]
    lines = [_line(across, [place(group) for place, _ in scales]) for group in groups]
    count = max(1, round(BEST_SHARE * len(lines)))
    titles = [*keys, figure.title]
    return ParallelChart(
        axes=[ParallelAxis(title, x, marks) for title, x, (_, marks) in zip(titles, across, scales, strict=True)],
        others="".join(dict.fromkeys(lines[count:])),
        best="".join(dict.fromkeys(lines[1:count])),
        top=lines[0],
        count=count,
    )


def _line(across: Sequence[float], down: Sequence[float]) -> str:
    points = (f"{x * SIDE / 100:.0f},{y * SIDE / 100:.0f}" for x, y in zip(across, down, strict=True))
    return "M" + "L".join(points)


def _keys(ranking: StudyRanking, groups: Sequence[SettingGroup]) -> list[str]:
    """The keys that differ and that an axis has room for, in their order; of many those that matter most."""
    keys = []
    for key in ranking.board.setting_keys:
        values = {group.settings[key] for group in groups}
        if len(values) > 1 and (numbers_of(list(values)) is not None or len(values) <= MOST_NAMES):
            keys.append(key)
    shares = {entry.key: entry.share for entry in ranking.importance.shares}
    chosen = sorted(keys, key=lambda key: -shares.get(key, 0.0))[:MOST_AXES]
    return [key for key in keys if key in chosen]


def _setting_axis(key: str, groups: Sequence[SettingGroup]) -> tuple[Places, list[Tick]]:
    values = list(dict.fromkeys(group.settings[key] for group in groups))
    numbers = numbers_of(values)
    if numbers is not None and len(numbers) > 1:
        across, marks = numeric_scale(numbers)
        return lambda group: 100 - across(float(group.settings[key])), [(100 - place, text) for place, text in marks]
    names = sorted(values)
    places = {name: 100 - MARGIN - (100 - 2 * MARGIN) * i / max(1, len(names) - 1) for i, name in enumerate(names)}
    return lambda group: places[group.settings[key]], [(place, name or UNSET) for name, place in places.items()]


def _figure_axis(figure: BoardColumn, groups: Sequence[SettingGroup]) -> tuple[Places, list[Tick]]:
    """The figure on a linear scale, the better at the top."""
    values = [group.means[figure.key] for group in groups]
    low, high = min(values), max(values)
    worst, best = (high, low) if figure.lower else (low, high)
    width = (best - worst) or 1.0

    def from_top(value: float) -> float:
        return 100 - MARGIN - (100 - 2 * MARGIN) * (value - worst) / width

    marks = [worst + width * i / 4 for i in range(5)]
    return lambda group: from_top(group.means[figure.key]), [(from_top(v), f"{v:.3f}".replace("-", "−")) for v in marks]

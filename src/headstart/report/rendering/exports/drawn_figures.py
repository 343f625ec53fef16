"""Figures of a report, drawn for paper."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from headstart.report.analysis.study_records import Study, StudySection
from headstart.report.analysis.swept_keys import SweptAxis
from headstart.report.leaderboard.run_entries import BoardColumn
from headstart.report.leaderboard.setting_importance import SettingShare, is_logarithmic
from headstart.report.leaderboard.study_ranking import CostFront
from headstart.report.rendering.charts.chart_layout import SIDE
from headstart.report.rendering.charts.learning_chart import mean_and_band
from headstart.report.rendering.charts.parallel_chart import ParallelChart
from headstart.system.metric_direction import lower_is_better

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#6a7180", "#0072b2", "#c4500a", "#00805c", "#a44a86", "#8a6d00", "#3b3f9e", "#b0203f")  # as the page has
GREY, BLUE, ORANGE = COLOURS[0], COLOURS[1], COLOURS[2]
SIZE = (6.4, 4.0)  # inches
_PLATE = {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 0.8}  # behind a label that lines pass


def learning_figure(section: StudySection, study: Study, colours: dict[str, int]) -> Figure:
    """Learning curves of a setting by optimizer step: mean and 95 % band over seeds.

    Args:
        section: The setting.
        study: The comparison.
        colours: The number of each arm's colour.
    """
    figure, axes = _figure("optimizer steps", study.metric)
    sign = -1.0 if lower_is_better(study.metric) else 1.0
    for arm in section.all_arms:
        x, mean, low, high = mean_and_band(arm, "step", study.resolution)
        colour = COLOURS[colours[arm.label] % len(COLOURS)]
        axes.plot(x, sign * mean, color=colour, label=arm.label, linestyle=":" if arm.arm.is_control else "-")
        axes.fill_between(x, sign * low, sign * high, color=colour, alpha=0.16, linewidth=0)
    axes.legend(fontsize="small", frameon=False)
    return figure


def axis_figure(axis: SweptAxis, metric: str, colours: dict[str, int]) -> Figure:
    """A metric over a swept key: mean and 95 % interval over seeds, a line for each arm.

    Args:
        axis: The key and its lines.
        metric: One of the axis's.
        colours: The number of each line's colour.
    """
    figure, axes = _figure(axis.key, metric)
    for line in axis.lines:
        points = [(point.at, point.levels[metric].mean) for point in line.points if metric in point.levels]
        points = [(at, interval) for at, interval in points if math.isfinite(interval.mean)]
        if not points:
            continue
        x, mean = [at for at, _ in points], [interval.mean for _, interval in points]
        below = [max(0.0, i.mean - i.low) if i.known else math.nan for _, i in points]
        above = [max(0.0, i.high - i.mean) if i.known else math.nan for _, i in points]
        colour = COLOURS[colours[line.label] % len(COLOURS)]
        axes.errorbar(x, mean, (below, above), color=colour, label=line.label, marker="o", capsize=2)
    if is_logarithmic([at for at, _ in axis.places]):
        axes.set_xscale("log")
    axes.legend(fontsize="small", frameon=False)
    return figure


def cost_figure(front: CostFront, column: BoardColumn) -> Figure:
    """A dot for each setting by a cost and the figure, and the line of those that no other surpasses in both.

    Args:
        front: Of one cost.
        column: What ranks.
    """
    figure, axes = _figure(front.cost.title, column.title)
    x, y = ([group.means[key] for group in front.groups] for key in (front.cost.key, column.key))
    axes.scatter(x, y, s=12, color=GREY, alpha=0.5, linewidths=0)
    x, y = ([group.means[key] for group in front.front] for key in (front.cost.key, column.key))
    axes.plot(x, y, color=BLUE, marker="o", markersize=5)
    if is_logarithmic([group.means[front.cost.key] for group in front.groups]):
        axes.set_xscale("log")
    return figure


def parallel_figure(chart: ParallelChart) -> Figure:
    """Parallel coordinates; the best tenth of the settings is coloured, the best one is thick.

    Args:
        chart: As the page shows it.
    """
    figure, axes = _figure("", "")
    figure.set_size_inches(max(SIZE[0], 1.3 * len(chart.axes)), SIZE[1])
    kinds = ((chart.others, GREY, 0.6, 0.3), (chart.best, BLUE, 0.8, 0.8), (chart.top, ORANGE, 2.5, 1.0))
    for path, colour, width, alpha in kinds:
        for x, y in _lines(path):
            axes.plot(x, y, color=colour, linewidth=width, alpha=alpha)
    for axis in chart.axes:
        at = axis.x * SIDE / 100
        axes.axvline(at, color="black", linewidth=0.8)
        for place, text in axis.ticks:
            axes.text(at + 6, place * SIDE / 100, text, fontsize="x-small", va="center", bbox=_PLATE, zorder=9)
    titles = [axis.title.replace(".", ".\n") for axis in chart.axes]
    axes.set_xticks([axis.x * SIDE / 100 for axis in chart.axes], titles)
    axes.set(yticks=[], ylim=(SIDE, 0))
    axes.spines[:].set_visible(False)
    return figure


def importance_figure(shares: Sequence[SettingShare], metric: str) -> Figure:
    """A bar for each setting: the share of the variance that it explains alone.

    Args:
        shares: The largest first.
        metric: Whose variance.
    """
    figure, axes = _figure(f"share of the variance of {metric}", "")
    axes.barh([entry.key for entry in reversed(shares)], [entry.share for entry in reversed(shares)], color=BLUE)
    axes.set_xlim(0, 1)
    return figure


def _figure(across: str, up: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=across, ylabel=up)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _lines(path: str) -> list[tuple[list[float], list[float]]]:
    """The lines of SVG path data that consist of M and L alone."""
    lines = []
    for text in filter(None, path.split("M")):
        points = [point.split(",") for point in text.split("L")]
        lines.append(([float(x) for x, _ in points], [float(y) for _, y in points]))
    return lines

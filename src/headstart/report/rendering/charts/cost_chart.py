"""Charts of a figure against what it costs, and the settings that no other surpasses in both."""

from __future__ import annotations

from dataclasses import dataclass

from headstart.report.leaderboard.run_entries import BoardColumn
from headstart.report.leaderboard.study_ranking import CostFront
from headstart.report.rendering.charts.axis_ticks import tick_text, ticks
from headstart.report.rendering.charts.chart_layout import SIDE, Tick
from headstart.report.rendering.charts.numeric_scale import numeric_scale


@dataclass(frozen=True)
class CostChart:
    """A dot for each setting.

    Attributes:
        key: Of the cost.
        title: Of the horizontal axis.
        what: The figure.
        dots: SVG path data of the settings.
        front_dots: Of those on the front.
        front_line: Between these.
        x_ticks: Per cent of the width, text.
        y_ticks: Per cent of the height from the top, text.
        summary: What it shows, for who cannot see it.
    """

    key: str
    title: str
    what: str
    dots: str
    front_dots: str
    front_line: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    summary: str


def cost_chart(front: CostFront, figure: BoardColumn) -> CostChart:
    """The chart of one cost.

    Args:
        front: The settings.
        figure: The column that ranks.
    """
    across, x_ticks = numeric_scale([group.means[front.cost.key] for group in front.groups])
    figures = [group.means[figure.key] for group in front.groups]
    marks = ticks(min(figures), max(figures), 6)
    bottom, top = min(marks[0], *figures), max(marks[-1], *figures)

    def from_top(value: float) -> float:
        return 100 * (1 - (value - bottom) / (top - bottom))

    places = {
        id(group): (across(group.means[front.cost.key]) * SIDE / 100, from_top(group.means[figure.key]) * SIDE / 100)
        for group in front.groups
    }
    of_front = [places[id(group)] for group in front.front]
    return CostChart(
        key=front.cost.key,
        title=front.cost.title,
        what=figure.title,
        dots=_dots(list(places.values())),
        front_dots=_dots(of_front),
        front_line="M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in of_front),
        x_ticks=x_ticks,
        y_ticks=[(from_top(mark), tick_text(mark, marks)) for mark in marks],
        summary=f"{len(front.groups)} settings; {len(front.front)} that no other surpasses in both",
    )


def _dots(places: list[tuple[float, float]]) -> str:
    return "".join(f"M{x:.1f},{y:.1f}h0" for x, y in dict.fromkeys((round(x, 1), round(y, 1)) for x, y in places))

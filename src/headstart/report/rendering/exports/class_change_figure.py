"""Figure of what each arm changed class by class, drawn for paper."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from headstart.report.analysis.study_records import StudySection
from headstart.report.rendering.exports.drawn_figures import COLOURS, SIZE
from headstart.report.rendering.tables.class_change_table import largest_changes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CLASSES = 20
ROW = 0.13  # inches of an arm in a class


def class_figure(section: StudySection, colours: dict[str, int]) -> Figure:
    """The change of test recall and its 95 % interval: a row for each class, a dot for each arm in it.

    Args:
        section: The setting.
        colours: The number of each arm's colour.
    """
    from matplotlib.figure import Figure

    changes = section.class_changes
    names = largest_changes(changes, MOST_CLASSES)
    height = 1.2 + len(names) * (0.12 + ROW * len(changes))
    figure = Figure(figsize=(SIZE[0], max(SIZE[1] / 2, height)), layout="constrained")
    axes = figure.subplots()
    for place, arm in enumerate(changes):
        shift = 0.7 * ((place + 0.5) / len(changes) - 0.5)
        entries = {entry.name: entry.change for entry in arm.classes if math.isfinite(entry.change.mean)}
        rows = [(row + shift, entries[name]) for row, name in enumerate(names) if name in entries]
        y, mean = [row for row, _ in rows], [change.mean for _, change in rows]
        below = [change.mean - change.low if change.known else math.nan for _, change in rows]
        above = [change.high - change.mean if change.known else math.nan for _, change in rows]
        colour = COLOURS[colours.get(arm.label, 1) % len(COLOURS)]
        axes.errorbar(mean, y, xerr=(below, above), color=colour, fmt="o", markersize=4, capsize=2, label=arm.label)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set(xlabel="change of test accuracy of the class", ylim=(len(names) - 0.5, -0.5))
    axes.set_yticks(range(len(names)), names)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, fontsize="small", frameon=False)
    return figure

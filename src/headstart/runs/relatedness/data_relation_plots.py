"""Pictures of how data sets are related: distances of sources, of classes, and the likeness of two models' layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headstart.runs.relatedness.data_relations import ITSELF, Measure, Relation, interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, GREY = "#2a78d6", "#6b7280"
MOST_WRITTEN = 15  # rows or columns of a heatmap whose cells have numbers


def relations_figure(found: Mapping[Measure, Relation]) -> Figure:
    """A panel a measure: each source's distance with its interval, and that of the target with itself.

    Args:
        found: What relations() gave.
    """
    from matplotlib.figure import Figure

    sources = list(next(iter(found.values())).values)
    figure = Figure(figsize=(3.4 * len(found), 0.42 * len(sources) + 1.4), layout="constrained")
    for number, (measure, relation) in enumerate(found.items()):
        axes = figure.add_subplot(1, len(found), number + 1)
        for place, name in enumerate(sources):
            mean, low, high = interval(relation.values[name])
            colour = GREY if name == ITSELF else BLUE
            axes.plot([low, high], [place, place], color=colour, linewidth=2)
            axes.plot(mean, place, "o", color=colour)
        axes.set_yticks(range(len(sources)), sources if number == 0 else [])
        axes.set(title=measure, xlabel="distance to the target")
        axes.invert_yaxis()
        axes.grid(axis="x", color="#e3e3e3", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def heatmap_figure(
    values: NDArray[np.float64], rows: Sequence[str], columns: Sequence[str], *, title: str, labels: tuple[str, str]
) -> Figure:
    """A heatmap with a number in each cell, where there are not too many.

    Args:
        values: (rows, columns).
        rows: Names.
        columns: Names.
        title: Of the picture.
        labels: Of the rows' axis and of the columns'.
    """
    from matplotlib.figure import Figure

    size = (min(16.0, 0.5 * len(columns) + 3), min(14.0, 0.36 * len(rows) + 2.2))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    drawn = axes.imshow(values, cmap="viridis", aspect="auto")
    figure.colorbar(drawn, ax=axes, shrink=0.8)
    axes.set_xticks(range(len(columns)), columns, rotation=60, ha="right", size=7)
    axes.set_yticks(range(len(rows)), rows, size=7)
    axes.set(title=title, ylabel=labels[0], xlabel=labels[1])
    if max(len(rows), len(columns)) <= MOST_WRITTEN:
        middle = (np.nanmin(values) + np.nanmax(values)) / 2 if np.isfinite(values).any() else 0.0
        for i, row in enumerate(values):
            for j, value in enumerate(row):
                colour = "black" if value > middle else "white"
                axes.text(j, i, f"{value:.2g}", ha="center", va="center", size=6.5, color=colour)
    return figure

"""Plots of probing: accuracy by stage, and by learning rate and weight decay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 5  # panels beside each other
LEAST = 0.02  # of accuracy, from the lightest colour to the darkest: less is chance and shall not look like more
COLOURS = ("#2a78d6", "#eb6834", "#1baa78", "#8f5bd0", "#6b7280")  # one a kind
MARKERS = "osD^v"


def stages_figure(stages: Sequence[str], accuracy: Mapping[str, Sequence[float]]) -> Figure:
    """Kind -> its best val accuracy at each stage; a line a kind, the stages from the input on."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(5.0, 0.9 * len(stages) + 2.5), 3.8), layout="constrained")
    axes = figure.add_subplot()
    for number, (kind, values) in enumerate(accuracy.items()):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        axes.plot(range(len(stages)), values, color=colour, marker=marker, markersize=5, linewidth=1.8, label=kind)
    axes.set(xlabel="stage, from the input on", ylabel="best val accuracy", xticks=range(len(stages)))
    axes.set_xticklabels(stages)
    axes.grid(axis="y", color="#e3e3e3", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def grid_figure(
    panels: Mapping[str, Sequence[Sequence[float]]],
    lr: Sequence[float],
    weight_decay: Sequence[float],
    chosen: tuple[str, int, int],
) -> Figure:
    """Stage -> val accuracies (learning rates, weight decays); a panel a stage, coloured from its worst to its best.

    chosen: stage, number of the learning rate and of the weight decay that won; a frame is put around it. How stages
    compare is in the other figure: on one scale for all of them a panel would have one colour.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    width, height = max(1.8, 0.46 * len(weight_decay) + 0.3), 0.34 * len(lr) + 0.8
    figure = Figure(figsize=(columns * width + 0.6, rows * height), layout="constrained")
    for number, (stage, values) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, columns, number + 1)
        low, high = float(np.min(values)), float(np.max(values))
        top = max(high, low + LEAST)
        axes.imshow(values, cmap="Blues", vmin=low, vmax=top, aspect="auto")
        axes.set_title(f"{stage}: {low:.3f} to {high:.3f}", size=8)
        axes.set_xticks(range(len(weight_decay)), [f"{value:g}" for value in weight_decay], size=7)
        first = number % columns == 0
        axes.set_yticks(range(len(lr)), [f"{value:g}" for value in lr] if first else [], size=7)
        if first:
            axes.set_ylabel("learning rate", size=8)
        if number >= len(panels) - columns:
            axes.set_xlabel("weight decay", size=8)
        for i, row in enumerate(values):
            for j, value in enumerate(row):
                colour = "white" if value > (low + top) / 2 else "black"
                axes.text(j, i, f"{value:.3f}".lstrip("0"), ha="center", va="center", color=colour, size=7)
        if chosen[0] == stage:
            corner = chosen[2] - 0.5, chosen[1] - 0.5
            axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=COLOURS[1], linewidth=2.5, clip_on=False))
    return figure

"""Picture of calibration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from headstart.evaluation.confidence.calibration import Bin

DPI = 120


def calibration_figure(bins: Sequence[Bin], error: float, *, of_labels: bool = False) -> Figure:
    """What the model said against how often it was right, bin by bin, above how many images each bin has.

    of_labels: the bins are of all classes of all images, and of how often a class was there.
    """
    figure = Figure(figsize=(5, 6), layout="tight")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    filled = [part for part in bins if part.images]
    place = {"x": [part.lowest for part in filled], "width": 1 / len(bins), "align": "edge", "edgecolor": "white"}
    above.bar(height=[part.accuracy for part in filled], color="tab:blue", **place)
    above.plot(
        [part.probability for part in filled], [part.accuracy for part in filled], "o", color="black", markersize=3
    )
    above.plot([0, 1], [0, 1], "--", color="grey", linewidth=1)
    above.set(
        xlim=(0, 1),
        ylim=(0, 1),
        ylabel="share that is true" if of_labels else "share that is right",
        title=f"expected calibration error {error:.3f}",
    )
    below.bar(height=[part.images for part in filled], color="tab:grey", **place)
    words = ("probability of a label", "labels") if of_labels else ("probability of the predicted class", "images")
    below.set(xlabel=words[0], ylabel=words[1])
    return figure


def saved(figure: Figure, path: Path) -> Path:
    """The picture's file, there whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        figure.savefig(partial, format="png", dpi=DPI)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path

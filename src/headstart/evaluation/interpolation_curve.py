"""Picture of a metric along the line between two models' weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

NAMES = {"val": "val, which chooses", "other": "other data", "test": "test"}


def interpolation_picture(line: Sequence[tuple[float, Mapping[str, float]]], monitor: str, chosen: float) -> Figure:
    """The metric of each split over the share of the fine-tuned weights; test only where it was measured.

    Args:
        line: Share, and its metrics as <split>/<metric>, for each model.
        monitor: Name of the metric.
        chosen: The share that val chose.
    """
    figure = Figure(figsize=(6, 4), layout="tight")
    axes = figure.subplots()
    for split, label in NAMES.items():
        points = [(share, metrics[f"{split}/{monitor}"]) for share, metrics in line if f"{split}/{monitor}" in metrics]
        if points:
            style = {"linestyle": "none", "marker": "D"} if split == "test" else {"marker": "o", "markersize": 4}
            axes.plot(*zip(*points, strict=True), label=label, **style)
    axes.axvline(chosen, color="grey", linestyle="--", linewidth=1)
    axes.set(
        xlabel="share of the fine-tuned weights (0: the source's, 1: the run's)", ylabel=monitor,
        title=f"val chooses share {chosen:.2f}",
    )  # fmt: skip
    axes.legend()
    return figure

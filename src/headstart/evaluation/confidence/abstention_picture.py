"""Picture and table of abstention: accuracy against the share of answers that are given."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from headstart.evaluation.confidence.risk_coverage import CoveragePoint
from headstart.system.files.atomic_write import write_whole


def abstention_figure(curve: Sequence[CoveragePoint], area: float) -> Figure:
    """Accuracy on the surest answers against their share.

    Args:
        curve: The points, the surest first.
        area: The area under risk and coverage.
    """
    figure = Figure(figsize=(5, 4), layout="tight")
    axes = figure.add_subplot()
    coverage, accuracy = [point.coverage for point in curve], [point.accuracy for point in curve]
    axes.plot(coverage, accuracy, color="tab:blue", drawstyle="steps-pre", marker="." if len(curve) < 2 else None)
    if curve:
        axes.axhline(accuracy[-1], color="grey", linestyle="--", linewidth=1)
        axes.annotate(f"all answers {accuracy[-1]:.3f}", (0.01, accuracy[-1]), va="bottom", color="grey", fontsize=8)
    axes.set(
        xlim=(0, 1),
        ylim=(min([*accuracy, 1.0]) - 0.02, 1.01),
        xlabel="coverage: share of images that are answered, the surest first",
        ylabel="accuracy on them",
        title=f"area under risk and coverage {area:.4f}",
    )
    return figure


def write_coverage(path: Path, curve: Sequence[CoveragePoint]) -> None:
    """Write the curve as CSV, a point a row, the surest first.

    Args:
        path: Of the file.
        curve: The points.
    """
    stream = io.StringIO()
    lines = csv.writer(stream, lineterminator="\n")
    lines.writerow(["coverage", "images", "accuracy", "risk", "least_probability"])
    for point in curve:
        numbers = (point.accuracy, 1 - point.accuracy, point.threshold)
        lines.writerow([f"{point.coverage:.6f}", point.images, *(f"{number:.6f}" for number in numbers)])
    write_whole(path, stream.getvalue())

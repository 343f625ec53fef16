"""Plot of a learning curve and its forecast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from headstart.evaluation.forecast.accuracy_forecast import TAILS, Forecast
from headstart.evaluation.forecast.curve_resampling import Correct

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAW, LAW, FUTURE = "#6b7280", "#2a78d6", "#eb6834"
POINTS = 80


def accuracy_forecast_figure(
    images: Sequence[int], correct: Sequence[Correct], found: Forecast, *, more: int, title: str
) -> Figure:
    """Accuracy of each draw over the logarithm of the training images, the law with its interval, and `more` images.

    Args:
        images: (S,).
        correct: Of each size, (draws, V).
        found: The forecast.
        more: Images.
        title: Of the picture.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for number, (count, table) in enumerate(zip(images, correct, strict=True)):
        by_draw = table.mean(axis=1)
        label = "draws" if number == 0 else None
        axes.plot([count] * len(by_draw), by_draw, "o", color=DRAW, alpha=0.4, markersize=4, label=label)
    places = np.geomspace(images[0], 2 * (images[-1] + more), POINTS)
    curve = np.array([float(1 - found.law.error(place)[0]) for place in places])
    band = np.array([np.percentile(1 - found.laws.error(place), TAILS) for place in places])
    axes.plot(places, curve, color=LAW, label="power law")
    axes.fill_between(places, band[:, 0], band[:, 1], color=LAW, alpha=0.18, linewidth=0, label="95 % interval")
    value, low, high = found.accuracy
    axes.errorbar(
        [images[-1] + more], [value], yerr=[[value - low], [high - value]], color=FUTURE, marker="D", capsize=4,
        label=f"{more} images more",
    )  # fmt: skip
    axes.set(xscale="log", xlabel="labelled training images", ylabel="val accuracy", title=title)
    axes.grid(color="#e3e3e3", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    return figure

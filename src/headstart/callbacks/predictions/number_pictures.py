"""Picture of predicted against true numbers."""

from __future__ import annotations

from matplotlib.figure import Figure
from torch import Tensor

from headstart.modules.metrics.number_metrics import mean_absolute_errors, r2_scores

COLUMNS = 3  # panels beside each other


def numbers_figure(predicted: Tensor, true: Tensor, names: tuple[str, ...]) -> Figure:
    """A panel for each column: a point an image, the true number from left to right, the predicted one upwards.

    Args:
        predicted: (N, T).
        true: (N, T).
        names: Of the T columns.
    """
    predicted, true = predicted.double(), true.double()
    errors, scores = mean_absolute_errors(predicted, true).tolist(), r2_scores(predicted, true).tolist()
    across = min(COLUMNS, len(names))
    down = -(-len(names) // across)
    figure = Figure(figsize=(4.2 * across, 4.0 * down), layout="tight")
    for at, name in enumerate(names):
        axes = figure.add_subplot(down, across, at + 1)
        x, y = true[:, at].numpy(), predicted[:, at].numpy()
        axes.plot(x, y, "o", markersize=3, alpha=0.6)
        ends = [min(x.min(), y.min()), max(x.max(), y.max())]
        axes.plot(ends, ends, color="grey", linewidth=0.8)
        axes.set(
            xlabel=f"{name}, true", ylabel=f"{name}, predicted", title=f"MAE {errors[at]:.4g}, R² {scores[at]:.3f}"
        )
    return figure

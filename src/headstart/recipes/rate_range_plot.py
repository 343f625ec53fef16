"""Plot of learning-rate range tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from headstart.recipes.rate_range_sweep import RateSweep

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RAW, SMOOTHED, MARK, CONFIGURED = "#b9c6d6", "#2a78d6", "#eb6834", "#6b7280"
HEADROOM = 1.5  # of the highest shown loss over the first one: that of a far too high rate would hide the rest


def rate_range_figure(sweeps: Mapping[str, RateSweep], configured: float) -> Figure:
    """Loss over the logarithm of the head's rate, a panel a sweep, with what each suggests.

    Args:
        sweeps: By what they are called.
        configured: The rate that the config has.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.4 * len(sweeps)), layout="constrained")
    for number, (name, sweep) in enumerate(sweeps.items()):
        axes = figure.add_subplot(len(sweeps), 1, number + 1)
        axes.plot(sweep.rates, sweep.losses, color=RAW, linewidth=1, label="loss of each step")
        axes.plot(sweep.rates[: len(sweep.smoothed)], sweep.smoothed, color=SMOOTHED, linewidth=2, label="smoothed")
        for rate, word, line in (
            (sweep.suggestion.valley, "valley", "-"),
            (sweep.suggestion.steepest, "steepest", "--"),
        ):
            if rate is not None:
                axes.axvline(rate, color=MARK, linestyle=line, linewidth=1.4, label=f"{word} {rate:.2g}")
        axes.axvline(configured, color=CONFIGURED, linestyle=":", linewidth=1.2, label=f"optimizer.lr {configured:.2g}")
        title = f"{name}: {sweep.ended}"
        axes.set(xscale="log", xlabel="learning rate of the head", ylabel="training loss", title=title)
        if sweep.smoothed:
            low, high = min(sweep.smoothed), max(sweep.smoothed[0], min(sweep.smoothed)) * HEADROOM
            axes.set_ylim(low - 0.1 * (high - low), high)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    return figure

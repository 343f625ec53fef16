"""The picture of a choice: each arm's val metric against what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#2a78d6", "#d6612a", "#2a9d5c", "#8a4fbf", "#b8860b", "#c2185b", "#00838f", "#5d4037")
AXES = {
    "train_s": ("seconds of the last trial", 1.0),
    "peak_memory_mib": ("peak memory, MiB", 1.0),
    "parameters": ("parameters of the backbone, millions", 1e-6),
    "latency_ms": ("milliseconds for one image", 1.0),
}


def choice_figure(result: dict[str, Any]) -> Figure:
    """The figure of a choice: a panel a cost; filled points are on the front of that cost.

    Args:
        result: The content of result.json of task=choose.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.2), layout="constrained")
    panels = figure.subplots(1, len(AXES), sharey=True)
    entries = result["pareto"]
    names = [f"{entry['candidate']}, {entry['mode']}" for entry in entries]
    for panel, (cost, (title, factor)) in zip(panels, AXES.items(), strict=True):
        for number, entry in enumerate(entries):
            colour = COLOURS[number % len(COLOURS)]
            panel.plot(
                [factor * entry[cost]],
                [entry["metric"]],
                "o",
                color=colour,
                fillstyle="full" if cost in entry["front"] else "none",
                label=_short(names[number]),
            )
        panel.set_xscale("log")
        panel.set_xlabel(title, size=8)
        panel.tick_params(labelsize=7)
        panel.grid(color="#e3e3e3", linewidth=0.8)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel(f"{result['monitor']}, mean of the last evaluations", size=8)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=7, frameon=False)
    return figure


def _short(text: str) -> str:
    return text if len(text) <= 48 else f"...{text[-45:]}"

"""Pictures of the times beside each other, and of their growth with the number of images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from bench_demands import exponent, medians_by_size, of_way
from bench_tables import TITLES

BARS = {"features5": "Feature extraction, 5 epochs", "features20": "20 epochs", "gradual": "Gradual, 6 epochs"}
OURS, HAND, THEIRS = "#1b6ca8", "#8a8a8a", "#c9c9c9"


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Write the figure: bars of seconds by way, with their ranges; time and memory by number of images."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(11, 7), layout="constrained")
    for axis, (part, title) in zip(axes.flat, BARS.items(), strict=False):
        _bars(axis, found["runs"], part, title)
    _growth(axes[1, 1], found["runs"])
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _bars(axis: Any, runs: Any, part: str, title: str) -> None:
    ways = [way for way in dict.fromkeys(run["way"] for run in runs if run["part"] == part) if of_way(runs, part, way)]
    if not ways:
        axis.set_title(f"{title}: not measured", loc="left")
        axis.set_axis_off()
        return
    for at, way in enumerate(reversed(ways)):
        seconds = list(of_way(runs, part, way).values())
        middle = median(seconds)
        colour = OURS if way.startswith("headstart") else HAND if way in ("floor", "channels_last") else THEIRS
        axis.barh(at, middle, color=colour, xerr=[[middle - min(seconds)], [max(seconds) - middle]], capsize=3)
        axis.text(max(seconds), at, f"  {middle:.1f}", va="center", fontsize=9)
    axis.set_yticks(range(len(ways)), [TITLES[way] for way in reversed(ways)], fontsize=9)
    axis.set_title(title, loc="left")
    axis.set_xlabel("seconds")
    axis.margins(x=0.12)
    axis.spines[["top", "right"]].set_visible(False)


def _growth(axis: Any, runs: Any) -> None:
    seconds, memory = medians_by_size(runs, "seconds"), medians_by_size(runs, "peak_mib")
    axis.set_title("headstart by number of images", loc="left")
    if not seconds:
        axis.set_axis_off()
        return
    axis.loglog(list(seconds), list(seconds.values()), "o-", color=OURS, label="seconds")
    axis.set_xlabel("images")
    axis.set_ylabel("seconds", color=OURS)
    axis.set_xticks(list(seconds), [f"{n:,}" for n in seconds], fontsize=8)
    low, high = min(seconds.values()) / 2, max(seconds.values()) * 2
    axis.set_yticks([n for n in (1, 2, 5, 10, 20, 50, 100) if low < n < high])
    axis.yaxis.set_major_formatter("{x:g}")
    axis.minorticks_off()
    if len(seconds) > 3:
        axis.text(0.03, 0.9, f"seconds = a + b n^{exponent(seconds):.2f}", transform=axis.transAxes)
    beside = axis.twinx()
    beside.plot(list(memory), list(memory.values()), "s--", color=HAND)
    beside.set_ylim(0, 1.5 * max(memory.values()))
    beside.set_ylabel("peak memory, MiB", color=HAND)

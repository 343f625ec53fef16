"""The picture of a ranking: each candidate's rank by each score, and its interval by the score that decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.report.analysis.ranked_candidates import scores_in
from headstart.report.rendering.tables.ranking_tables import ordered

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LONGEST = 38  # letters of a candidate on the axis


def ranking_figure(result: dict[str, Any]) -> Figure:
    """The figure of a ranking.

    Args:
        result: The content of result.json of task=rank_sources.
    """
    from matplotlib.figure import Figure

    listed, by = ordered(result), result["by"]
    names = scores_in(listed)
    height = 0.34 * len(listed) + 1.9
    figure = Figure(figsize=(0.5 * len(names) + 9.5, height), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(0.5 * len(names) + 1, 4))
    cells = np.array(
        [[entry["scores"].get(name, {}).get("rank", np.nan) for name in names] for entry in listed], dtype=np.float64
    )
    left.imshow(cells, cmap="Blues_r", vmin=1, vmax=max(2, len(listed)) * 1.3, aspect="auto")
    for row, column in np.ndindex(cells.shape):
        rank = cells[row, column]
        text = "-" if np.isnan(rank) else f"{rank:g}"
        left.text(column, row, text, ha="center", va="center", size=7, color="white" if rank == 1 else "black")
    left.set_xticks(range(len(names)), names, rotation=60, ha="right", size=7)
    left.set_yticks(range(len(listed)), [_short(entry["candidate"]) for entry in listed], size=7)
    left.set_title("rank by each score", size=9)
    for row, entry in enumerate(listed):
        own = entry["scores"].get(by)
        if own is None:
            continue
        if np.isfinite(own["low"]):
            right.plot([own["low"], own["high"]], [row, row], color="#2a78d6", linewidth=3, alpha=0.35)
        right.plot([own["rank"]], [row], "o", color="#2a78d6", markersize=5)
    right.set(ylim=(len(listed) - 0.5, -0.5), xlim=(0.5, len(listed) + 0.5), yticks=[])
    right.set_xlabel("rank", size=8)
    right.set_title(f"{by}: rank, and 95 % interval over images", size=9)
    right.grid(axis="x", color="#e3e3e3", linewidth=0.8)
    right.spines[["top", "right", "left"]].set_visible(False)
    return figure


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"...{text[-LONGEST + 3 :]}"

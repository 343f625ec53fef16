"""The value of a run that a sweeper maximises: a level of its validation curve."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

from headstart.report.stored_runs.metric_rows import rows_in
from headstart.runs.model_parts.assembly import USUAL
from headstart.system.metric_direction import best_mode, lower_is_better


def value_of(result: dict[str, Any], folder: Path, objective: Literal["best_trained", "last", "best"]) -> float:
    """The level that is asked for, larger is better: of a figure of which less is better, the negative.

    `best_trained` is the best after the first optimizer step, `last` that of the end, `best` that of the best
    checkpoint, which may be step 0: a head in closed form then gives the same value whatever a sweep varies. Where the
    newest checkpoint counts, it is the last. nan of a run without validation. The curve is that of metrics.csv; where
    there is none, the best checkpoint's figure is all that is known.

    result: as in result.json. folder: of the run.
    """
    if not result.get("evaluations", True):
        return math.nan
    selection = result.get("selection")  # an older result has no such key
    figure = monitored_metric_of(result) if selection is None else selection["metric"]
    mode = best_mode(figure) if selection is None else selection["mode"]
    sign = -1 if mode == "min" or (mode == "last" and lower_is_better(figure)) else 1
    try:
        rows = {} if objective == "best" else rows_in(folder / "metrics.csv")
    except (OSError, ValueError):  # another logger has the curve
        rows = {}
    levels = [sign * row[figure] for step, row in rows.items() if step > 0 and math.isfinite(row.get(figure, math.nan))]
    if levels:
        return levels[-1] if objective == "last" or mode == "last" else max(levels)
    stored_value = result["metrics"][figure]
    return math.nan if stored_value is None else sign * float(stored_value)  # JSON has no nan


def monitored_metric_of(result: dict[str, Any]) -> str:
    """The monitored metric of the run."""
    return str(result.get("monitor", USUAL))  # a result of before 0.3 has none

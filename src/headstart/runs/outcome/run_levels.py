"""Start and asymptote of a run that is just done, as the report will measure them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headstart.report.analysis.run_measures import END, START, measured
from headstart.report.stored_runs.metric_rows import rows_in
from headstart.report.stored_runs.study_runs import FinishedRun
from headstart.system.metric_direction import lower_is_better


def run_levels(folder: Path, result: Mapping[str, Any]) -> dict[str, float]:
    """Start (with the head in closed form where it was measured) and asymptote of the monitored metric, as logged.

    Args:
        folder: The run's folder.
        result: The content of its result.json, which need not lie there yet.
    """
    metric = str(result["monitor"])
    try:
        rows = rows_in(folder / "metrics.csv")
    except (OSError, ValueError):  # another logger has the curve
        return {}
    run = FinishedRun(folder, result["mode"], result["seed"], tuple(result["overrides"]), dict(result), rows)
    if run.adapts:  # its val is the source's
        return {}
    (levels,) = measured([run], metric)
    start = next(
        (levels.values[key] for key in (START, "start") if math.isfinite(levels.values.get(key, math.nan))), None
    )
    sign = -1.0 if lower_is_better(metric) else 1.0
    named = {"start": start, "asymptote": levels.values.get(END)}
    return {name: sign * value for name, value in named.items() if value is not None and math.isfinite(value)}

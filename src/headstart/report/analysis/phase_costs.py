"""Speed, times and memory of each phase of a mode's schedule."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from headstart.report.analysis.run_measures import MeasuredRun

PHASE_METRICS = (
    "epochs", "steps", "images_per_s", "wait_share", "train_s", "validation_s", "cache_s", "peak_memory_mib",
)  # fmt: skip


def phases_of(runs: Sequence[MeasuredRun]) -> list[dict[str, Any]]:
    """Each phase of the runs in its order: phase, trainable, runs (that came to it), and the median of each metric.

    A metric is None where no run has it. Empty where the runs were made before phases were recorded.
    """
    accounts_by_phase: dict[str, list[dict[str, Any]]] = {}
    for measured in runs:
        phases = measured.run.result.get("phases")
        for account in phases if isinstance(phases, list) else ():
            if isinstance(account, dict) and isinstance(account.get("phase"), str):
                accounts_by_phase.setdefault(account["phase"], []).append(account)
    return [
        {
            "phase": name,
            "trainable": [str(part) for part in accounts[0].get("trainable") or ()],
            "runs": len(accounts),
            **{key: _median([account.get(key) for account in accounts]) for key in PHASE_METRICS},
        }
        for name, accounts in accounts_by_phase.items()
    ]


def _median(values: Sequence[Any]) -> float | None:
    finite = [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)]
    return statistics.median(finite) if finite else None

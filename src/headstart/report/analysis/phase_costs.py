"""What did each phase of a mode's schedule take?"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from headstart.report.analysis.run_measures import MeasuredRun

FIGURES = ("epochs", "steps", "images_per_s", "wait_share", "train_s", "validation_s", "cache_s", "peak_memory_mib")


def phases_of(runs: Sequence[MeasuredRun]) -> list[dict[str, Any]]:
    """Each phase of the runs in its order: phase, trainable, runs (that came to it), and the median of each figure.

    A figure is None where no run has it. Empty where the runs were made before phases were recorded.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for one in runs:
        listed = one.run.result.get("phases")
        for account in listed if isinstance(listed, list) else ():
            if isinstance(account, dict) and isinstance(account.get("phase"), str):
                found.setdefault(account["phase"], []).append(account)
    return [
        {
            "phase": name,
            "trainable": [str(part) for part in accounts[0].get("trainable") or ()],
            "runs": len(accounts),
            **{key: _median([account.get(key) for account in accounts]) for key in FIGURES},
        }
        for name, accounts in found.items()
    ]


def _median(values: Sequence[Any]) -> float | None:
    known = [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)]
    return statistics.median(known) if known else None

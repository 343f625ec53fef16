"""Changes of recall by class in plain values, as report.json has them."""

from __future__ import annotations

from typing import Any

from headstart.report.analysis.study_records import ArmClassChanges
from headstart.report.rendering.exports.interval_record import interval_record


def class_record(changes: ArmClassChanges) -> dict[str, Any]:
    """An arm's changes class by class, as report.json has them.

    Args:
        changes: Of the arm against its control or baseline.
    """
    return {
        "arm": changes.label,
        "against": changes.against,
        "pairs": changes.pairs,
        "intervals_over": changes.over,
        "classes": [
            {
                "class": entry.name,
                "images": entry.images or None,
                "before": entry.before,
                "after": entry.after,
                "change": interval_record(entry.change),
                "corrected_p": entry.corrected_p,
            }
            for entry in changes.classes
        ],
    }

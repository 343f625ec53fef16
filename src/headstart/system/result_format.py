"""Format of result.json, and the names of its entries in earlier formats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headstart.system.old_names import with_key
from headstart.system.result_type_check import misfit

PRUNED = "pruned"  # the state of a run that a search has stopped
FORMAT = 2  # of what this version writes
KEYS = {  # path of an entry in format 1 -> its key of today; * is each item of a list
    "learns": "trainable",
    "test_per_class": "test_recall_per_class",
    "selection.figure": "metric",
    "tuned.tried.*.figure": "metric",
    "phases.*.open": "trainable",
    "phases.*.store_s": "cache_s",
}


def current_result(result: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a result.json with the names of today, whichever version wrote it.

    Args:
        result: The content as it was read; without a format it is of the earliest version.

    Raises:
        ValueError: A later version of headstart wrote it, or an entry is of another type than it has.
    """
    current = _of_today(result)
    if wrong := misfit(current):
        raise ValueError(wrong)
    return current


def _of_today(result: Mapping[str, Any]) -> dict[str, Any]:
    """The content by the names of today. Raises ValueError where a later version wrote it."""
    written = result.get("format", 1)
    if written == FORMAT:
        return dict(result)
    if written != 1:
        raise ValueError(f"result.json must have format 1 or {FORMAT}, got {written!r}; is it of a later version?")
    current: Any = dict(result)
    for path, key in KEYS.items():
        current = with_key(current, path.split("."), key)
    return {**current, "format": FORMAT}


def pruned_text(result: Mapping[str, Any]) -> str:
    """When a search has stopped a run, and the val metric that it had then.

    Args:
        result: The content of the run's result.json.
    """
    where = result.get("pruned")
    where = where if isinstance(where, dict) else {}
    return f"stopped by its search after epoch {where.get('epoch')} at {where.get('metric')} {where.get('value')}"

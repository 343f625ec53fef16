"""Metrics of one split among those that Lightning has logged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def split_metrics(logged: Mapping[str, Any], *splits: str) -> dict[str, float]:
    """The logged metrics whose tag begins with one of the splits, as numbers.

    Args:
        logged: Tag -> value, such as a trainer's callback_metrics.
        splits: First parts of tags: train, val, test, target, domains.
    """
    return {tag: float(value) for tag, value in logged.items() if tag.partition("/")[0] in splits}

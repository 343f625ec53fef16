"""Settings whose runs have other figures than in earlier versions, and so another hash."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def changed_figures(config: Mapping[Any, Any]) -> list[str]:
    """What has changed for runs of this config since then; a run of before is not found as finished.

    Args:
        config: Plain, resolved.
    """
    changed = []
    module, target = config.get("module") or {}, config.get("target") or {}
    has_several_labels = target.get("label_separator") or target.get("label_columns")
    if module.get("class_weights") is not None and not has_several_labels:
        changed.append("class weights are relative to all training images, not to those of a batch")
    return changed

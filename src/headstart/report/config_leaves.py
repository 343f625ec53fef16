"""The values of a config by their dotted keys."""

from __future__ import annotations

from typing import Any


def leaves(node: Any, prefix: str = "") -> dict[str, Any]:
    """The leaves of a config's node by their dotted keys."""
    if not isinstance(node, dict):
        return {prefix: node} if prefix else {}
    values: dict[str, Any] = {}
    for key, child in node.items():
        values |= leaves(child, f"{prefix}.{key}" if prefix else str(key))
    return values

"""Types of the entries of result.json, so that a damaged or forged one is told where it is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

LARGEST = 2**63
NUMBER, TEXT, TRUTH, LIST, TABLE = "a number", "text", "true or false", "a list", "an object"
# path of an entry -> what it may be besides null; * is each item of a list or an object
TYPES: Mapping[str, tuple[str, ...]] = {
    "task": (TEXT,),
    "hash": (TEXT,),
    "mode": (TEXT,),
    "monitor": (TEXT,),
    "state": (TEXT,),
    "weights_hash": (TEXT,),
    "overrides": (LIST,),
    "overrides.*": (TEXT,),
    "metrics": (TABLE,),
    "metrics.*": (NUMBER,),
    "test_recall_per_class": (TABLE,),
    "test_recall_per_class.*": (NUMBER,),
    "class_names": (LIST,),
    "class_names.*": (TEXT,),
    "num_classes": (NUMBER,),
    "multi_label": (TRUTH,),
    "regression": (TRUTH,),
    "control": (TRUTH,),
    "best_before_training": (TRUTH,),
    "selection": (TABLE,),
    "selection.*": (TEXT,),
    "adaptation": (TABLE,),
    "sizes": (TABLE,),
    "sizes.*": (NUMBER,),
    "labelled_images": (TABLE,),
    "trainable": (TABLE,),
    "trainable.*": (NUMBER,),
    "steps": (NUMBER,),
    "examples": (NUMBER,),
    "setup_s": (NUMBER,),
    "wall_s": (NUMBER, TABLE),
    "peak_memory_mib": (NUMBER,),
    "peak_learning_rate": (NUMBER,),
    "start_class_means": (NUMBER,),
    "evaluations": (LIST,),
    "evaluations.*": (TABLE,),
    "evaluations.*.*": (NUMBER,),
    "phases": (LIST,),
    "phases.*": (TABLE,),
    "source": (TABLE,),
    "source.metrics": (TABLE,),
    "source.metrics.*": (NUMBER,),
    "forgetting": (TABLE,),
    "tuned": (TABLE,),
    "data": (TABLE,),
    "hardware": (TABLE,),
    "versions": (TABLE,),
    "files": (TABLE,),
    "files.*": (TEXT,),
}


def misfit(result: Mapping[str, Any]) -> str:
    """What is wrong with the first entry that is of another type; empty where nothing is.

    Entries that are missing, null or of no known name are right.

    Args:
        result: The content of a result.json, by the names of today.
    """
    for path, kinds in TYPES.items():
        for name, value in _entries(result, path.split("."), ""):
            if value is not None and not any(_is(value, kind) for kind in kinds):
                return f"{name} must be {' or '.join(kinds)}, got {str(value)[:40]!r}"
    return ""


def _entries(node: Any, path: list[str], name: str) -> Iterator[tuple[str, Any]]:
    """The values at a path, each with its name."""
    if not path:
        yield name, node
        return
    first, rest = path[0], path[1:]
    if isinstance(node, dict):
        keys = list(node) if first == "*" else [first] if first in node else []
        for key in keys:
            yield from _entries(node[key], rest, f"{name}.{key}" if name else str(key))
    elif isinstance(node, list) and first == "*":
        for number, child in enumerate(node):
            yield from _entries(child, rest, f"{name}[{number}]")


def _is(value: Any, kind: str) -> bool:
    if kind == NUMBER:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and (isinstance(value, float) or abs(value) < LARGEST)
    types = {TEXT: str, TRUTH: bool, LIST: list, TABLE: dict}
    return isinstance(value, types[kind])

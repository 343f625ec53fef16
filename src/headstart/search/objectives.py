"""Objectives of a search: what a task gives a sweeper, and entries of its result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from headstart.types import UserError

VALUE = "value"  # what the task returns
EXAMPLES = "value, -wall_s, -trainable.parameters, -peak_memory_mib"


def checked_objectives(names: Sequence[str]) -> None:
    """Raise UserError where there is none, one is there twice, or one is measured on test images.

    Args:
        names: Of the objectives, a leading - where less is better.
    """
    plain = [name.removeprefix("-") for name in names]
    if not plain or len(set(plain)) < len(plain) or "" in plain:
        raise UserError(
            f"hydra.sweeper.objectives must name different objectives, got {list(names)}; such as {EXAMPLES}"
        )
    if test := [name for name in plain if "test" in name]:
        raise UserError(
            f"a search chooses by val, and test is read once, at the end; got the objective {test[0]}; try value"
        )


def values_of_job(returned: Any, result: Mapping[str, Any], names: Sequence[str]) -> list[float]:
    """The value of each objective of one job; nan of a run that diverged.

    Args:
        returned: What the task has returned.
        result: The content of its result.json; empty where it has none.
        names: Of the objectives.

    Raises:
        UserError: One is no number.
    """
    return [_value(returned, result, name.removeprefix("-")) for name in names]


def _value(returned: Any, result: Mapping[str, Any], name: str) -> float:
    found: Any = returned
    if name != VALUE:
        found = _entry(result, name)
        if isinstance(returned, float) and math.isnan(returned):
            return math.nan  # it diverged: its other entries count for nothing
    if isinstance(found, bool) or not isinstance(found, int | float):
        where = "what the task returns" if name == VALUE else "an entry of result.json"
        raise UserError(
            f"the objective {name} must be a number, {where}, got {found!r}; there are {VALUE} and numbers of "
            f"result.json, such as {EXAMPLES}"
        )
    return float(found)


def _entry(result: Mapping[str, Any], path: str) -> Any:
    """The entry at a dotted path; keys may have dots and slashes of their own."""
    if path in result:
        return result[path]
    for key, child in result.items():
        if path.startswith(f"{key}.") and isinstance(child, dict):
            return _entry(child, path.removeprefix(f"{key}."))
    return None

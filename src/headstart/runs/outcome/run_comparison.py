"""Two results of one config compared to the last digit, with what could explain a difference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from headstart.report.config_leaves import leaves
from headstart.report.result_digests import TABLE
from headstart.report.stored_runs.metric_rows import rows_in

# of a result.json: what a config computes; times, memory and places are left out
COMPUTED = ("metrics", "best", "steps", "examples", "state", "levels", "chosen", "heads", "stages", "forgetting")
WEIGHTS = "weights_hash"
CIRCUMSTANCES = ("hardware", "versions", "data", "project_git")


class ValueDifference(NamedTuple):
    """A value that is not the same in both.

    Attributes:
        name: Its place: `val/loss at step 40`, `metrics.test/accuracy`.
        before: In the first; None where it is missing there.
        now: In the second.
    """

    name: str
    before: Any
    now: Any

    @property
    def size(self) -> float:
        """The distance of two numbers; infinite of anything else."""
        numbers = [value for value in (self.before, self.now) if _is_number(value)]
        return abs(numbers[0] - numbers[1]) if len(numbers) == 2 else math.inf

    def __str__(self) -> str:
        distance = f" (by {self.size:.2g})" if math.isfinite(self.size) else ""
        return f"{self.name}: {self.before} there, {self.now} here{distance}"


class RunComparison(NamedTuple):
    """What two results of one config have in common.

    Attributes:
        compared: How many values were compared.
        differences: The values that differ, the largest distance first.
        same_weights: Whether the weights are the same, bit by bit; None where a result does not say it.
        circumstances: In what the two were made otherwise: versions, hardware, data, the user's own code.
        unknown: Which of these the first result does not say, as an older one.
    """

    compared: int
    differences: tuple[ValueDifference, ...]
    same_weights: bool | None
    circumstances: tuple[ValueDifference, ...]
    unknown: tuple[str, ...]

    @property
    def is_equal(self) -> bool:
        """Whether nothing differs."""
        return not self.differences and self.same_weights is not False

    def within(self, tolerance: float) -> bool:
        """Whether each value differs by this at most; weights are not looked at unless it is 0."""
        return self.is_equal if tolerance == 0 else all(each.size <= tolerance for each in self.differences)


def compared(first: Path, result: Mapping[str, Any], second: Path, again: Mapping[str, Any]) -> RunComparison:
    """Compare two finished runs of one config: each cell of metrics.csv, and each computed value of result.json.

    Args:
        first: Folder of the first.
        result: Content of its result.json.
        second: Folder of the second.
        again: Content of that one's.
    """
    before, now = _values(first, result), _values(second, again)
    differences = [
        ValueDifference(name, before.get(name), now.get(name))
        for name in dict.fromkeys([*before, *now])
        if not _same(before.get(name), now.get(name))
    ]
    differences.sort(key=lambda each: -each.size)
    weights = result.get(WEIGHTS), again.get(WEIGHTS)
    known = [key for key in CIRCUMSTANCES if key in result]
    around = {key: value for key in known for key, value in leaves({key: result[key]}).items()}
    around_now = {key: value for key in known for key, value in leaves({key: again.get(key)}).items()}
    return RunComparison(
        compared=len({*before, *now}),
        differences=tuple(differences),
        same_weights=None if None in weights else weights[0] == weights[1],
        circumstances=tuple(
            ValueDifference(name, around[name], around_now.get(name))
            for name in around
            if around[name] != around_now.get(name)
        ),
        unknown=tuple(key for key in CIRCUMSTANCES if key not in result),
    )


def _values(folder: Path, result: Mapping[str, Any]) -> dict[str, Any]:
    """Place -> value of all that a run has computed."""
    values = _leaves_of({key: result[key] for key in COMPUTED if result.get(key) is not None}, "")
    if (folder / TABLE).is_file():
        for step, row in rows_in(folder / TABLE).items():
            values |= {f"{column} at step {step}": value for column, value in row.items() if column != "step"}
    return values


def _leaves_of(node: Any, path: str) -> dict[str, Any]:
    """The values below a node of JSON by their places; `folder` is where something lies, not what it is."""
    if isinstance(node, dict):
        pairs = [(f"{path}.{key}" if path else str(key), child) for key, child in node.items() if key != "folder"]
    elif isinstance(node, list):
        pairs = [(f"{path}[{number}]", child) for number, child in enumerate(node)]
    else:
        return {path: node}
    return {name: value for below, child in pairs for name, value in _leaves_of(child, below).items()}


def _same(one: Any, other: Any) -> bool:
    if _is_number(one) and _is_number(other):
        return bool(one == other or (math.isnan(one) and math.isnan(other)))
    return bool(one == other)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

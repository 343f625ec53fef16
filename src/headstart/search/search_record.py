"""Trials of a search as a file and as a table, the best first."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from headstart.system.files.atomic_write import plain, write_whole
from headstart.system.printing.aligned_columns import aligned

FILE = "search.json"
LISTED = 10  # trials of the table


class TrialRecord(NamedTuple):
    """One trial.

    Attributes:
        number: From 0 on.
        state: finished, pruned, diverged, failed or running.
        values: Of the objectives; empty where it has none.
        parameters: Key -> value, as overrides write it.
        runs: Names of the folders of its runs.
    """

    number: int
    state: str
    values: tuple[float, ...]
    parameters: Mapping[str, str]
    runs: tuple[str, ...]


def write_search(folder: Path, trials: Sequence[TrialRecord], best: Sequence[int], about: Mapping[str, Any]) -> None:
    """Write search.json into a sweep's folder.

    Args:
        folder: Of the sweep.
        trials: All of the search.
        best: Numbers of the best trials; of one objective one, of several those that none surpasses in all.
        about: Settings of the search.
    """
    content = {"format": 1, **about, "best": list(best), "trials": [trial._asdict() for trial in trials]}
    write_whole(folder / FILE, json.dumps(plain(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def table(trials: Sequence[TrialRecord], best: Sequence[int], objectives: Sequence[str]) -> str:
    """The trials in the order of their first value, the best marked by *, with a line that counts the states.

    Args:
        trials: All of the search.
        best: Numbers of the best ones.
        objectives: Their names; a leading - where less is better.
    """
    sign = -1 if objectives[0].startswith("-") else 1
    ranked = sorted((trial for trial in trials if trial.state == "finished"), key=lambda trial: -sign * trial.values[0])
    first = [trial for trial in ranked if trial.number in best]
    shown = [*first, *(trial for trial in ranked if trial.number not in best)][: max(LISTED, len(first))]
    keys = list(dict.fromkeys(key for trial in trials for key in trial.parameters))
    rows = [["", "trial", *(name.lstrip("-") for name in objectives), *keys]]
    rows += [
        [
            "*" if trial.number in best else "",
            str(trial.number),
            *(_number(value) for value in trial.values),
            *(_short(trial.parameters.get(key, "")) for key in keys),
        ]
        for trial in shown
    ]
    counts = {state: sum(trial.state == state for trial in trials) for state in dict.fromkeys(t.state for t in trials)}
    told = ", ".join(f"{count} {state}" for state, count in counts.items())
    return "\n".join([f"{len(trials)} trials: {told}", *(aligned(rows) if shown else [])])


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else str(value)


def _short(text: str) -> str:
    """A number with four digits; any other text as it is."""
    try:
        return f"{float(text):.4g}" if "." in text or "e" in text else text
    except ValueError:
        return text

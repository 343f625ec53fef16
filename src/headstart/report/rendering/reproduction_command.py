"""The command that makes a study again, and the seeds that it names."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from headstart.report.stored_runs.study_runs import FinishedRun, LevelsResult
from headstart.system.credential_masking import without_credentials


def command(folder: Path, runs: Sequence[FinishedRun | LevelsResult]) -> str | None:
    """The command line of a study: from Hydra's multirun.yaml, else from the overrides of its runs.

    None where the runs are not the product of their overrides' values, as when they were started one by one.
    """
    words = _of_multirun(folder / "multirun.yaml")
    if words is None:
        words = _of_overrides([run.overrides for run in runs])
    return None if words is None else without_credentials(shlex.join(["headstart", *words]))


def planned_seeds(folder: Path) -> tuple[int, ...]:
    """The seeds of the folder's last sweep by its multirun.yaml; empty where it does not say them."""
    import yaml  # here: only a sweep's folder needs it

    try:
        hydra = yaml.safe_load((folder / "multirun.yaml").read_text(encoding="utf-8"))["hydra"]
        words = [str(word) for word in (hydra["overrides"].get("task") or [])]
        params = (hydra.get("sweeper") or {}).get("params") or {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        return ()
    values = [word.partition("=")[2] for word in words if word.partition("=")[0] == "seed"]
    seeds = values[-1] if values else params.get("seed", "")
    try:
        return tuple(int(part) for part in str(seeds).split(","))
    except ValueError:
        return ()


def _of_multirun(file: Path) -> list[str] | None:
    import yaml  # here: only a sweep's folder needs it

    try:
        multirun = yaml.safe_load(file.read_text(encoding="utf-8"))
        overrides = multirun["hydra"]["overrides"]
        task_words = [str(word) for word in (overrides.get("task") or [])]
        hydra_words = [str(word) for word in (overrides.get("hydra") or [])]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        return None
    return ["-m", *task_words, *(word for word in hydra_words if word.lower() != "hydra.mode=multirun")]


def _of_overrides(jobs: Sequence[Sequence[str]]) -> list[str] | None:
    """The sweep whose product these jobs are; values stand in the order in which they first came."""
    values: dict[str, list[str]] = {}
    for job in jobs:
        for override in job:
            key, equals, value = override.partition("=")
            if not equals:
                return None
            values_of_key = values.setdefault(key, [])
            if value not in values_of_key:
                values_of_key.append(value)
    product = 1
    for values_of_key in values.values():
        product *= len(values_of_key)
    distinct = {frozenset(job) for job in jobs}
    if not values or len(distinct) != product or any(len(job) != len(values) for job in jobs):
        return None
    if any("," in value for values_of_key in values.values() for value in values_of_key):
        return None  # a list or a quoted text: joined by commas it would be another sweep
    words = [f"{key}={','.join(values_of_key)}" for key, values_of_key in values.items()]
    return ["-m", *words] if product > 1 else words

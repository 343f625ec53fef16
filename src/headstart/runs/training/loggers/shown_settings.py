"""Settings of a run that a table of hyper-parameters shows: mode, seed, and what differs in its study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from headstart.report.config_leaves import leaves
from headstart.runs.saved.config_resolution import resolved_without_variables
from headstart.runs.status.planned_jobs import planned_jobs
from headstart.system.credential_masking import masked_in

Shown = bool | int | float | str


def shown_settings(cfg: DictConfig, folder: Path, overrides: list[str]) -> dict[str, Shown]:
    """mode, seed, then each key whose values differ among the jobs of the sweep; of a lone run its own overrides.

    All jobs of a sweep have the same keys, also those that only some of them override: TensorBoard takes the columns of
    its table from any one of the runs. A group that the run's command leaves alone is empty.

    Args:
        cfg: The config of the run.
        folder: The run's folder.
        overrides: Its own.
    """
    own = _by_key(overrides)
    jobs = [_by_key(job.overrides) for job in planned_jobs(folder.parent)]
    keys = _differing(jobs) if _is_planned(own, jobs) else list(own)
    values = leaves(masked_in(resolved_without_variables(cfg)))
    wanted = dict.fromkeys(["mode", "seed", *keys])
    return {key: _shown(values.get(key, own.get(key, ""))) for key in wanted}


def _differing(jobs: list[dict[str, str]]) -> list[str]:
    """The keys that not all of the jobs give the same value."""
    keys = dict.fromkeys(key for job in jobs for key in job)
    return [key for key in keys if len({job.get(key) for job in jobs}) > 1]


def _is_planned(own: dict[str, str], jobs: list[dict[str, str]]) -> bool:
    """Whether a run is one of several jobs that a command has planned."""
    return len(jobs) > 1 and own in jobs


def _by_key(overrides: Any) -> dict[str, str]:
    """Key -> text of the value; groups by the name of the group."""
    pairs = (str(text).lstrip("+~").partition("=") for text in overrides)
    return {key: value for key, _, value in pairs}


def _shown(value: Any) -> Shown:
    return value if isinstance(value, bool | int | float | str) else str(value)

"""Settings of a search, checked before its first trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from headstart.search.objectives import checked_objectives
from headstart.search.samplers import pruner_of, sampler_of
from headstart.search.trial_storage import optuna
from headstart.types import UserError


class SearchSettings(NamedTuple):
    """What conf/hydra/sweeper/optuna.yaml says."""

    trials: int
    at_once: int
    sampler: Any
    sampler_options: Mapping[str, Any] | None
    pruner: Any
    pruner_options: Mapping[str, Any] | None
    seed: int
    objectives: tuple[str, ...]
    storage: str | None


def check_settings(settings: SearchSettings) -> None:
    """Raise UserError where a setting is out of its range, or settings do not go together."""
    optuna()
    for name, value, least in (
        ("n_trials", settings.trials, 1),
        ("n_jobs", settings.at_once, 1),
        ("seed", settings.seed, 0),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise UserError(f"hydra.sweeper.{name} must be a whole number from {least} on, got {value!r}")
    checked_objectives(settings.objectives)
    if len(settings.objectives) > 1 and settings.pruner is not None:
        raise UserError("a pruner needs one objective, got several; try hydra.sweeper.pruner=null")
    if len(settings.objectives) > 1 and settings.sampler == "cmaes":
        raise UserError("hydra.sweeper.sampler=cmaes has one objective, got several; try tpe")
    sampler_of(settings.sampler, settings.seed, 0, settings.sampler_options)
    pruner_of(settings.pruner, settings.pruner_options)

"""Trials of a search that are to be run next: those that were left, then new ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from headstart.search.samplers import sampler_of
from headstart.search.search_settings import SearchSettings
from headstart.search.trial_storage import optuna
from headstart.types import UserError


class ChosenTrial(NamedTuple):
    """A trial that is to be run, and its values by key."""

    number: int
    params: dict[str, Any]


def check_space(study: Any, distributions: Mapping[str, Any], folder: Path) -> None:
    """Raise UserError where the search in the folder was over other values of a choice, which Optuna cannot change."""
    library = optuna().distributions
    for trial in study.get_trials(deepcopy=False):
        for key, known in trial.distributions.items():
            wanted = distributions.get(key)
            try:
                if wanted is None:
                    raise ValueError(f"{key} was searched there, and has one value or none here")
                library.check_distribution_compatibility(known, wanted)
            except ValueError as error:
                raise UserError(
                    f"the search in {folder} was over other values of {key} ({' '.join(str(error).split())}); give "
                    "this one another study_name"
                ) from error


def enqueue_failed(study: Any) -> None:
    """Let trials that failed in an earlier command be run again, unless one with the same values came after."""
    trials = study.get_trials(deepcopy=False)
    for trial in trials:
        later = [other for other in trials if other.number > trial.number and other.params == trial.params]
        if trial.state.name == "FAIL" and trial.params and not later:
            study.enqueue_trial(dict(trial.params))


def count_trials(study: Any, *states: str) -> int:
    return sum(trial.state.name in states for trial in study.get_trials(deepcopy=False))


def next_trials(study: Any, distributions: Mapping[str, Any], settings: SearchSettings, done: int) -> list[ChosenTrial]:
    """The trials that an earlier command has left running, and new ones up to the end of the batch; empty at the end.

    Batches begin at multiples of n_jobs, so that a search that goes on has the batches that it would have had.
    """
    running = [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "RUNNING"]
    trials = [ChosenTrial(trial.number, dict(trial.params)) for trial in running]
    count = len(study.get_trials(deepcopy=False)) - count_trials(study, "WAITING")
    first = running[0].number if running else count
    end = (first // settings.at_once + 1) * settings.at_once
    while count < end and done + len(trials) < settings.trials:
        study.sampler = sampler_of(settings.sampler, settings.seed, count, settings.sampler_options)
        trial = study.ask(dict(distributions))
        trials.append(ChosenTrial(trial.number, dict(trial.params)))
        count += 1
    return trials

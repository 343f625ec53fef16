"""A search's study in its storage: notes on trials, and val metrics by which hopeless ones are pruned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from headstart.search.samplers import pruner_of
from headstart.search.trial_storage import opened_storage, optuna

PRUNER = "pruner"  # an attribute of the study: the pruner's name and options


class SearchStudy(NamedTuple):
    """Optuna's study, and the storage that it lies in.

    Attributes:
        study: Optuna's.
        storage: Optuna's.
        address: Of the storage.
    """

    study: Any
    storage: Any
    address: str

    def note(self, number: int, key: str, value: Any) -> None:
        """Keep something of a trial, whether this process has begun it or another.

        Args:
            number: Of the trial.
            key: What is kept.
            value: Anything that JSON has.
        """
        self.storage.set_trial_user_attr(self._key_of(number), key, value)

    def is_hopeless(self, number: int, *, validation: int, value: float) -> bool:
        """Report a val metric of a trial -> whether the pruner would stop it there.

        Args:
            number: Of the trial.
            validation: Which validation it is of, from 1 on.
            value: Larger is better.
        """
        key = self._key_of(number)
        self.storage.set_trial_intermediate_value(key, validation, value)
        return bool(self.study.pruner.prune(self.study, self.storage.get_trial(key)))

    def _key_of(self, number: int) -> int:
        study = self.storage.get_study_id_from_name(self.study.study_name)
        return int(self.storage.get_trial_id_from_study_id_trial_number(study, number))


def study_of_trial(trial: Mapping[str, Any]) -> SearchStudy:
    """The study that a job's trial is of, with its pruner.

    Args:
        trial: The job's setting `trial`: storage, study, number.

    Raises:
        UserError: The storage cannot be opened.
    """
    address = str(trial["storage"])
    storage = opened_storage(address)
    study = optuna().load_study(study_name=str(trial["study"]), storage=storage)
    name, options = study.user_attrs[PRUNER]
    study.pruner = pruner_of(name, options)
    return SearchStudy(study, storage, address)

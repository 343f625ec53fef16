"""What came of trials: told to the study, and read from it again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from headstart.search.objectives import values_of_job
from headstart.search.search_record import TrialRecord
from headstart.search.search_study import SearchStudy
from headstart.search.trial_storage import optuna
from headstart.system.result_format import PRUNED

RUNS, OUTCOME = "runs", "outcome"  # attributes of a trial: its folders; diverged where a run of it did


class EndedJob(NamedTuple):
    """A job of a trial that has come to its end.

    Attributes:
        folder: Where it wrote.
        has_failed: Whether it raised.
        returned: What its task returned; None where it failed.
        result: The content of its result.json; empty where it has none.
    """

    folder: str
    has_failed: bool
    returned: Any
    result: Mapping[str, Any]

    @property
    def was_pruned(self) -> bool:
        """Whether the search has stopped it."""
        return not self.has_failed and self.result.get("state") == PRUNED


def tell(search: SearchStudy, number: int, jobs: Sequence[EndedJob], objectives: tuple[str, ...]) -> None:
    """Tell the study what came of a trial: the mean over its runs; of a diverged one the worst value."""
    states, study = optuna().trial.TrialState, search.study
    search.note(number, RUNS, [Path(job.folder).name for job in jobs])
    if any(job.has_failed for job in jobs):
        study.tell(number, state=states.FAIL)
    elif any(job.was_pruned for job in jobs):
        study.tell(number, state=states.PRUNED)
    else:
        of_jobs = [values_of_job(job.returned, job.result, objectives) for job in jobs]
        means = [math.fsum(values) / len(values) for values in zip(*of_jobs, strict=True)]
        if any(map(math.isnan, means)):
            search.note(number, OUTCOME, "diverged")
            means = [math.inf if name.startswith("-") else -math.inf for name in objectives]
        study.tell(number, means)


def records(study: Any) -> tuple[list[TrialRecord], list[int]]:
    """All trials, and the numbers of the best."""
    names = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running"}
    records = [
        TrialRecord(
            trial.number,
            trial.user_attrs.get(OUTCOME) or names[trial.state.name],
            tuple(trial.values or ()) if trial.state.name == "COMPLETE" else (),
            {key: str(value) for key, value in trial.params.items()},
            tuple(trial.user_attrs.get(RUNS, ())),
        )
        for trial in study.get_trials(deepcopy=False)
        if trial.state.name in names
    ]
    finished = {record.number for record in records if record.state == "finished"}
    return records, [trial.number for trial in study.best_trials if trial.number in finished] if finished else []

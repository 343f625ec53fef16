"""Which run of an arm shows its most confident errors, and how many other runs are right on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headstart.report.analysis.run_measures import MeasuredRun
from headstart.report.stored_runs.stored_predictions import FOLDER
from headstart.report.stored_runs.study_runs import FinishedRun
from headstart.system.metric_direction import lower_is_better
from headstart.system.worst_errors import WorstErrors, read_worst_errors


@dataclass(frozen=True)
class RunErrors:
    """A run and its most confident errors; None where its folder does not hold them."""

    run: FinishedRun
    worst: WorstErrors | None


def errors_of_best(runs: Sequence[FinishedRun]) -> RunErrors:
    """The errors of the best run by val: of those that hold any, where there are such. Diverged runs come last.

    Args:
        runs: Of one arm, one at least.
    """
    ranked = sorted(runs, key=_rank)
    found = (RunErrors(run, read_worst_errors(answers_folder(run.folder))) for run in ranked)
    return next((errors for errors in found if errors.worst is not None), RunErrors(ranked[0], None))


def answers_folder(run: Path) -> Path:
    """Where a run's folder has what was said of single images."""
    return run / FOLDER


def right_elsewhere(image: int, own: Path, runs: Sequence[MeasuredRun]) -> tuple[int, int]:
    """(other runs that are right on a test image, other runs that were tested on it).

    Args:
        image: What it is, as answers have it.
        own: The folder of the run that is wrong.
        runs: All runs of the setting.
    """
    right = tested = 0
    for run in runs:
        if run.tested is None or run.run.folder == own:
            continue
        places = np.flatnonzero(run.tested.image == np.uint64(image))
        if len(places):
            tested += 1
            right += bool(run.tested.right[places[0]])
    return right, tested


def _rank(run: FinishedRun) -> tuple[bool, float, int]:
    """The best first; a value that is not there is the worst."""
    value = run.final_metric(run.monitor)
    worth = value if lower_is_better(run.monitor) else -value
    return run.has_diverged, float("inf") if worth != worth else worth, run.seed

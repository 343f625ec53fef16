"""Scores of trials, and their ranking."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headstart.recipes.trial_runs import Trial
from headstart.report.stored_runs.study_runs import FinishedRun, run_in
from headstart.system.metric_direction import lower_is_better
from headstart.types import UserError

LAST_SHARE, LEAST_LAST = 0.1, 3  # of a trial's evaluations, whose mean is its value; at most half of them


@dataclass(frozen=True)
class TrialScore:
    """How good a trial, or a setting over several seeds, is."""

    value: float | None  # the value of the monitored metric; None where training diverged
    loss: float = math.inf

    def key(self, *, lower: bool) -> tuple[float, float]:
        """A key that sorts the best first; lower: whether a lower value is better."""
        if self.value is None:
            return math.inf, math.inf
        return self.value if lower else -self.value, self.loss


@dataclass(frozen=True)
class Rung:
    """The settings that were tried at one length, by their numbers."""

    trials: Mapping[int, Sequence[Trial]]
    results: Mapping[int, Sequence[Mapping[str, Any]]]
    seed_scores: Mapping[int, Sequence[TrialScore]]
    scores: Mapping[int, TrialScore]  # over the seeds

    def ranked(self, *, lower: bool) -> list[int]:
        """The settings' numbers, the best first; of equals the earlier."""
        return sorted(self.scores, key=lambda number: (*self.scores[number].key(lower=lower), number))

    @property
    def all_results(self) -> list[Mapping[str, Any]]:
        return [result for of_setting in self.results.values() for result in of_setting]


def rung_of(trials: Mapping[int, Sequence[Trial]], results: Sequence[Mapping[str, Any]], metric: str) -> Rung:
    """The scores of the trials at one length.

    Args:
        trials: The trials of each setting, one a seed.
        results: Their results, in the same order.
        metric: The monitored metric.
    """
    remaining = iter(results)
    by_setting = {number: [next(remaining) for _ in of_setting] for number, of_setting in trials.items()}
    seed_scores = {
        number: [trial_score(trial, result, metric) for trial, result in zip(trials[number], of_setting, strict=True)]
        for number, of_setting in by_setting.items()
    }
    scores = {number: _mean_score(of_setting) for number, of_setting in seed_scores.items()}
    return Rung(trials, by_setting, seed_scores, scores)


def monitored_metric(result: Mapping[str, Any]) -> tuple[str, bool]:
    """The metric that a run is judged by, and whether lower is better."""
    selection = result.get("selection") or {}
    if selection.get("mode") in ("max", "min"):
        return str(selection["metric"]), selection["mode"] == "min"
    monitor = str(result["monitor"])
    return monitor, lower_is_better(monitor)


def trial_score(trial: Trial, result: Mapping[str, Any], metric: str) -> TrialScore:
    """The mean of a trial's last evaluations.

    Args:
        trial: That is finished.
        result: Of it.
        metric: The monitored metric.

    Raises:
        UserError: It has no evaluation after its first step.
    """
    if result.get("state") == "diverged":
        return TrialScore(None)
    run = run_in(trial.folder)
    rows = [row for step, row in run.rows.items() if step > 0 and metric in row] if isinstance(run, FinishedRun) else []
    if not rows:
        raise UserError(
            f"the trial in {trial.folder} has no {metric} after its first step; let runs validate more often: "
            "trainer.check_val_every_n_epoch=1, or null with trainer.val_check_interval in batches"
        )
    count = min(max(LEAST_LAST, math.ceil(LAST_SHARE * len(rows))), math.ceil(len(rows) / 2))
    value = _average([row[metric] for row in rows[-count:]])
    loss = _average([row["val/loss"] for row in rows[-count:] if "val/loss" in row])
    return TrialScore(value, loss) if math.isfinite(value) and not math.isnan(loss) else TrialScore(None)


def _mean_score(scores: Sequence[TrialScore]) -> TrialScore:
    values = [score.value for score in scores if score.value is not None]
    if len(values) < len(scores):
        return TrialScore(None)
    return TrialScore(_average(values), _average([score.loss for score in scores]))


def _average(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.inf

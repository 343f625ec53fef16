"""Stops a search's run whose val metric is hopeless beside those of the other trials."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from pytorch_lightning import Callback, LightningModule, Trainer

from headstart.compat.lightning.lightning_loops import stop_after_batch
from headstart.search.search_study import SearchStudy, study_of_trial
from headstart.system.metric_direction import lower_is_better

KEY = "validations"  # in a checkpoint


class PrunedAt(NamedTuple):
    """Where a run was stopped, and the val metric that it had."""

    epoch: int
    step: int
    metric: str
    value: float


class TrialPruning(Callback):
    """Reports the val metric after each validation but that of step 0, and ends the run where the pruner says so.

    The first process alone asks; the others do as it does. What ends is not tested: a test is read once, of runs that
    count. To stand behind the checkpoints, which are written first.

    Args:
        trial: The job's setting `trial`: storage, study, number.
        monitor: The metric.

    Attributes:
        pruned: Where the run was stopped; None while it goes on.
    """

    def __init__(self, *, trial: Mapping[str, Any], monitor: str) -> None:
        self.trial, self.monitor = trial, monitor
        self.pruned: PrunedAt | None = None
        self._validations = 0
        self._study: SearchStudy | None = None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking or trainer.global_step == 0 or self.pruned is not None:
            return
        self._validations += 1
        value = float(trainer.callback_metrics.get(self.monitor, math.nan))
        stops = self._is_hopeless(value) if trainer.is_global_zero else False
        if trainer.strategy.broadcast(stops):
            self.pruned = PrunedAt(trainer.current_epoch + 1, trainer.global_step, self.monitor, value)
            stop_after_batch(trainer)

    def _is_hopeless(self, value: float) -> bool:
        if not math.isfinite(value):  # a run that diverges ends by itself
            return False
        if self._study is None:
            self._study = study_of_trial(self.trial)
        signed = -value if lower_is_better(self.monitor) else value
        return self._study.is_hopeless(int(self.trial["number"]), validation=self._validations, value=signed)

    def state_dict(self) -> dict[str, Any]:
        return {KEY: self._validations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._validations = int(state_dict[KEY])

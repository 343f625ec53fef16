"""The monitored metric of a phase that ends at a plateau, and the weights at its best."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from pytorch_lightning import Trainer

from headstart.callbacks.training.ema import EMA
from headstart.compat.lightning.lightning_trainer import callbacks_of
from headstart.types import UserError
from headstart.unfreeze.schedules.schedule_phases import Phase, Plateau


class PlateauWatch:
    """Counts the validations since the best one of a phase, and holds the weights of the best one.

    Attributes:
        stalled: Validations in a row without an improvement.
    """

    def __init__(self) -> None:
        self.stalled = 0
        self._best: float | None = None
        self._best_weights: dict[str, torch.Tensor] = {}
        self._best_metrics: dict[str, float] = {}  # all that were measured on these weights
        self._metrics: dict[str, float] = {}  # of the last validation

    def measure(self, phases: Iterable[Phase], trainer: Trainer) -> None:
        """Take the metrics of a validation that some phase monitors; every rank must call it."""
        monitored = {phase.until.monitor for phase in phases if phase.until is not None}
        measured = {name: float(value) for name, value in trainer.callback_metrics.items() if name in monitored}
        # a metric that is not synchronised differs from rank to rank, and so would the decision
        self._metrics = trainer.strategy.broadcast(measured) if monitored else {}

    def follow(self, plateau: Plateau, trainer: Trainer, trainable: frozenset[str]) -> None:
        """Compare what was measured last with the best so far.

        Args:
            plateau: That the current phase waits for.
            trainer: The run's trainer.
            trainable: The names of the parameters that are trainable in the phase.

        Raises:
            UserError: If the monitored metric was not measured.
        """
        if plateau.monitor is None or plateau.monitor not in self._metrics:
            raise UserError(
                f"the schedule waits for {plateau.monitor}, which is not measured; measured are "
                f"{', '.join(sorted(map(str, trainer.callback_metrics)))}"
            )
        value = self._metrics[plateau.monitor]
        if not plateau.is_better(value, self._best):
            self.stalled += 1
            return
        self._best, self.stalled = value, 0
        if plateau.return_to_best:
            self._best_metrics = dict(self._metrics)
            self._best_weights = _changing_weights(trainer, trainable)

    def enter(self, plateau: Plateau | None, trainer: Trainer, trainable: frozenset[str]) -> None:
        """Begin a phase, whose first weights count as its first validation where they were measured."""
        self._best, self.stalled, self._best_weights = None, 0, {}
        if plateau is not None and plateau.is_better(self._metrics.get(str(plateau.monitor), math.nan), None):
            self.follow(plateau, trainer, trainable)

    def leave(self, plateau: Plateau | None, trainer: Trainer) -> None:
        """End a phase: put its best weights back where it is to; the optimizer's state of these is forgotten."""
        if plateau is None or not plateau.return_to_best or not self._best_weights:
            return
        module = trainer.lightning_module
        module.load_state_dict(self._best_weights, strict=False)
        self._metrics = dict(self._best_metrics)
        parameters = dict(module.named_parameters())
        for optimizer in trainer.optimizers:
            for name in self._best_weights:
                if name in parameters:
                    optimizer.state.pop(parameters[name], None)
        for average in _averages(trainer):
            average.restart(tuple(self._best_weights))

    def state_dict(self) -> dict[str, Any]:
        return {
            "best": self._best,
            "stalled": self.stalled,
            "best_weights": self._best_weights,
            "best_figures": self._best_metrics,  # the keys are those of earlier versions
            "figures": self._metrics,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._best, self.stalled = state_dict["best"], state_dict["stalled"]
        self._best_weights, self._best_metrics = dict(state_dict["best_weights"]), dict(state_dict["best_figures"])
        self._metrics = dict(state_dict["figures"])


def _changing_weights(trainer: Trainer, trainable: frozenset[str]) -> dict[str, torch.Tensor]:
    """Copies on the CPU of what a phase changes, as validation measures it: averages where there are any."""
    module = trainer.lightning_module
    changing = trainable | {name for name, _ in module.named_buffers()}
    measured = dict(module.state_dict())
    for average in _averages(trainer):
        measured |= average.averages
    return {name: tensor.detach().cpu().clone() for name, tensor in measured.items() if name in changing}


def _averages(trainer: Trainer) -> list[EMA]:
    return [callback for callback in callbacks_of(trainer) if isinstance(callback, EMA)]

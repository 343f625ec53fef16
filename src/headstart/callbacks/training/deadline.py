"""A moment at which training ends, whatever is left of it."""

from __future__ import annotations

import time
from typing import Any, Literal

from pytorch_lightning import Callback, LightningModule, Trainer


class OutOfTimeError(Exception):
    """The deadline has come, and the run is given up."""


class Deadline(Callback):
    """Ends training when its moment has come, by the clock of the machine.

    A run that another run follows is given up at once: half of a schedule is not what it was to measure. A run whose
    model is wanted ends with the epoch in which the moment comes, is validated, and its best checkpoint is tested.

    Args:
        at: Seconds since 1970.
        then: give_up raises OutOfTimeError after the batch; end_epoch ends the run after the epoch.

    Attributes:
        has_come: Whether it ended the run.
    """

    def __init__(self, at: float, then: Literal["give_up", "end_epoch"]) -> None:
        self.at = at
        self.then = then
        self.has_come = False

    def on_train_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        self._look(trainer)

    def on_validation_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        self._look(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.then == "end_epoch" and self._is_over():
            self.has_come = trainer.should_stop = True

    def _look(self, trainer: Trainer) -> None:
        if self.then == "give_up" and self._is_over():
            self.has_come = True
            raise OutOfTimeError(f"out of time in epoch {trainer.current_epoch + 1}")

    def _is_over(self) -> bool:
        return time.time() >= self.at

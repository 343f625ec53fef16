"""Time budget of a run: learning-rate schedules and phases end with it."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Timer

from headstart.compat.lightning.lightning_trainer import MisconfigurationException, callbacks_of
from headstart.modules.optimization.schedulers import run_length
from headstart.types import UserError
from headstart.unfreeze.schedules.schedule_phases import Phase

NEVER = sys.maxsize  # batches after which Lightning would advance a scheduler: this callback does


class TimeBudget(Timer):
    """Ends training when its time is over, and lets the run's progress be the share of the time that is over.

    The progress is the larger one of two shares: of the time, and of the run's optimizer steps. So the schedule ends
    with the run whichever limit comes first; where the time suffices for all epochs, the run is the one without it.
    Learning-rate schedulers stand where the progress says, and Unfreeze ends its phases by it. It is measured after
    each batch, by the clock of rank 0. Time counts from the first validation to the last step, with all validations
    between; a resumed run has what was left.

    Args:
        duration: DD:HH:MM:SS, or {hours: 1, minutes: 30} and the like.

    Attributes:
        progress: 0 at the beginning, 1 at the end.

    Raises:
        UserError: The duration is no time, or none at all.
    """

    def __init__(self, duration: str | Mapping[str, float]) -> None:
        length = duration if isinstance(duration, str | timedelta) else {str(key): duration[key] for key in duration}
        try:
            super().__init__(duration=length, interval="step", verbose=False)  # type: ignore[arg-type]
        except (MisconfigurationException, TypeError) as error:
            raise _no_time(duration) from error
        self.seconds = self.time_remaining() or 0.0
        if self.seconds <= 0:
            raise _no_time(duration)
        self.progress = 0.0
        self._positions: list[int] = []  # of the schedulers
        self._lengths: list[float] = []
        self._steps = math.inf

    def share_of(self, trainer: Trainer, phase: Phase) -> float | None:
        """A phase's length as a share of the run; None where it has no length that is one, as one until a plateau."""
        if phase.epochs is not None:
            return phase.epochs / trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else None
        if phase.steps is not None:
            return None if math.isinf(self._steps) else phase.steps / self._steps
        return phase.fraction

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._steps = max(1, trainer.estimated_stepping_batches)
        advancing = [config for config in trainer.lr_scheduler_configs if not config.reduce_on_plateau]
        for config in advancing:
            config.frequency = NEVER
        self._lengths = [run_length(trainer, "epoch" if c.interval == "epoch" else "step") for c in advancing]
        if len(self._positions) != len(advancing):  # a resumed run has them
            self._positions = [0] * len(advancing)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        spent = float(trainer.strategy.broadcast(min(1.0, self.time_elapsed() / self.seconds)))
        self.progress = max(self.progress, spent, min(1.0, trainer.global_step / self._steps))
        advancing: list[Any] = [config for config in trainer.lr_scheduler_configs if not config.reduce_on_plateau]
        for at, (config, length) in enumerate(zip(advancing, self._lengths, strict=True)):
            reached = math.floor(self.progress * length + 1e-6)
            for _ in range(self._positions[at], reached):
                config.scheduler.step()
            self._positions[at] = max(self._positions[at], reached)
        if spent >= 1:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "progress": self.progress, "positions": list(self._positions)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.progress, self._positions = state_dict["progress"], list(state_dict["positions"])


def budget_of(trainer: Trainer) -> TimeBudget | None:
    """The trainer's time budget; None where it has none."""
    return next((callback for callback in callbacks_of(trainer) if isinstance(callback, TimeBudget)), None)


def _no_time(duration: object) -> UserError:
    return UserError(
        "trainer.max_time must be a time as days:hours:minutes:seconds, two digits each, or a mapping, got "
        f"{duration}; try trainer.max_time=00:01:30:00 or 'trainer.max_time={{minutes: 90}}'"
    )

"""Steps, images, seconds and summed learning rate at each evaluation."""

from __future__ import annotations

import math
import time
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from headstart.callbacks.training.unfreeze import Unfreeze
from headstart.compat.lightning.lightning_trainer import callbacks_of
from headstart.types import Batch


class Timeline(Callback):
    """Counts training images, logs them as `examples` with each validation, keeps the wall time of each.

    A run without validation logs them after each epoch.

    The wall time stays out of the logs, so that the same seed gives the same metrics.csv. The learning rates need
    Unfreeze, earlier in the trainer's callbacks; without it they stay 0. They are nan in a run that resumes from a
    checkpoint which does not have them.

    Attributes:
        examples: Training images so far, of all devices.
        evaluations: One {epoch, step, examples, wall_s, learning_rate_sum} a validation. wall_s counts from the
            beginning of fit, in a resumed run without the time between the checkpoint and the new beginning.
        learning_rate_sum: The sum over all optimizer steps of the rate of the head's last parameter group, as
            scheduler, phase and warm-up make it; 0 while the head is frozen.
        peak_learning_rate: The largest of these rates.
        wall_s: Seconds of the whole fit.
    """

    def __init__(self) -> None:
        self.examples = 0
        self.evaluations: list[dict[str, float]] = []
        self.learning_rate_sum = self.peak_learning_rate = 0.0
        self.wall_s = 0.0
        self._began = time.perf_counter()
        self._earlier_s = 0.0  # of the run before it was resumed
        self._hooks: list[Any] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._began = time.perf_counter()
        callbacks = callbacks_of(trainer)
        unfreeze = next((callback for callback in callbacks if isinstance(callback, Unfreeze)), None)
        optimizer = unfreeze.head_optimizer if unfreeze is not None else None
        if unfreeze is None or optimizer is None:
            return

        def add(*_: Any) -> None:
            rate = unfreeze.head_rate(trainer.global_step)  # which Lightning raises only after the optimizer's hooks
            self.learning_rate_sum += rate
            self.peak_learning_rate = max(rate, self.peak_learning_rate)

        # an optimizer's hook, not one of batches: gradients may be accumulated over several of them
        self._hooks.append(optimizer.register_step_post_hook(add))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        self.examples += len(batch.label) * trainer.world_size

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit":
            pl_module.log_dict(self._place(trainer) | {"examples": float(self.examples)})

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        examples = {} if trainer.enable_validation else {"examples": float(self.examples)}
        pl_module.log_dict(self._place(trainer) | examples)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit":
            self.evaluations.append(
                {
                    **self._place(trainer),
                    "examples": self.examples,
                    "wall_s": self._elapsed_s(),
                    "learning_rate_sum": self.learning_rate_sum,
                }
            )

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.wall_s = self._elapsed_s()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def _elapsed_s(self) -> float:
        return round(self._earlier_s + time.perf_counter() - self._began, 4)

    @staticmethod
    def _place(trainer: Trainer) -> dict[str, float]:
        """How many epochs and optimizer steps are done; Lightning's own step is one short while an epoch ends."""
        return {
            "epoch": float(trainer.current_epoch + (trainer.global_step > 0)),
            "step": float(trainer.global_step),
        }

    def state_dict(self) -> dict[str, Any]:
        return {
            "examples": self.examples,
            "evaluations": list(self.evaluations),
            "wall_s": self._elapsed_s(),
            "learning_rates": {"sum": self.learning_rate_sum, "peak": self.peak_learning_rate},
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.examples, self.evaluations = state_dict["examples"], list(state_dict["evaluations"])
        self._earlier_s = state_dict["wall_s"]
        rates = state_dict.get("learning_rates", {})
        self.learning_rate_sum, self.peak_learning_rate = rates.get("sum", math.nan), rates.get("peak", math.nan)

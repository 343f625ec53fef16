"""When was the model measured, after how many steps, images and seconds?"""

from __future__ import annotations

import time
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from headstart.types import Batch


class Timeline(Callback):
    """Counts training images, logs them as `examples` with each validation, keeps the wall time of each.

    A run without validation logs them after each epoch.

    evaluations: one {epoch, step, examples, wall_s} a validation; wall_s counts from the beginning of fit, in a
    resumed run without the time between the checkpoint and the new beginning.
    The clock stays out of the logs, so that the same seed gives the same metrics.csv.
    """

    def __init__(self) -> None:
        self.examples = 0
        self.evaluations: list[dict[str, float]] = []
        self.wall_s = 0.0
        self._began = time.perf_counter()
        self._earlier_s = 0.0  # of the run before it was resumed

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._began = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        self.examples += len(batch.label) * trainer.world_size

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit":
            pl_module.log_dict(self._place(trainer) | {"examples": float(self.examples)})

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        seen = {} if trainer.enable_validation else {"examples": float(self.examples)}
        pl_module.log_dict(self._place(trainer) | seen)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit":
            self.evaluations.append(
                {
                    **self._place(trainer),
                    "examples": self.examples,
                    "wall_s": self._elapsed_s(),
                }
            )

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.wall_s = self._elapsed_s()

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
        return {"examples": self.examples, "evaluations": list(self.evaluations), "wall_s": self._elapsed_s()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.examples, self.evaluations = state_dict["examples"], list(state_dict["evaluations"])
        self._earlier_s = state_dict["wall_s"]

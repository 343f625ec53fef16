"""Which weights are kept?"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pytorch_lightning import Callback, LightningModule, Trainer

from headstart.types import UserError


class BestAndLast(Callback):
    """Keeps best.ckpt (by a monitored val figure, the first one of equals) and last.ckpt, each written atomically.

    folder: where. monitor: a logged figure; mode: whether more of it is better. The weights before the first
    step count too. best: {epoch, step, and all val figures} of best.ckpt. Raises UserError where nothing is
    logged as monitor.
    """

    def __init__(self, *, folder: str | Path, monitor: str, mode: Literal["max", "min"]) -> None:
        self.folder, self.monitor, self.mode = Path(folder), monitor, mode
        self.best: dict[str, float] = {}

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit":
            return
        figures = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        if self.monitor not in figures:
            raise UserError(
                f"callbacks.checkpoint.monitor={self.monitor} is not measured; "
                f"measured are {', '.join(sorted(figures))}"
            )
        sign = 1 if self.mode == "max" else -1
        if not self.best or sign * figures[self.monitor] > sign * self.best[self.monitor]:
            self.best = {
                "epoch": trainer.current_epoch + (trainer.global_step > 0),
                "step": trainer.global_step,
                **figures,
            }
            self._save(trainer, "best.ckpt")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._save(trainer, "last.ckpt")

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]

    def _save(self, trainer: Trainer, name: str) -> None:
        partial = self.folder / f"{name}.partial"
        trainer.save_checkpoint(partial)
        if trainer.is_global_zero:
            partial.replace(self.folder / name)  # whoever reads sees the old file or the new one, never half of it

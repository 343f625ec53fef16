"""The learning rates of a run that goes on from the end of a shorter one."""

from __future__ import annotations

import warnings
from typing import Any, Literal

from pytorch_lightning import Callback, LightningModule, Trainer

from headstart.types import UserError

MARK = "prolongs"  # in the checkpoint that the shorter run has ended with


class ExtendedRates(Callback):
    """Continues the schedule of learning rates beyond the length for which it was laid.

    Without it a checkpoint brings the old length along, and a cosine would rise again where it had ended.

    Args:
        schedule: `new_length` makes the schedule anew for the longer run, and enters it where the run stands, so that
            the further epochs have the rates that they have in a run of that length from the beginning; `held` keeps
            the rates at which the shorter run has ended. A plateau scheduler has no length and goes on in either case.
    """

    def __init__(self, *, schedule: Literal["new_length", "held"]) -> None:
        self.schedule = schedule
        self._begins = False

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._begins = bool(checkpoint.get(MARK))
        if self._begins and self.schedule == "new_length" and not _follow_a_plateau(trainer):
            checkpoint["lr_schedulers"] = []  # with the length of the shorter run

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if _follow_a_plateau(trainer):
            return
        if self.schedule == "held":
            if not any(group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups):
                raise UserError(
                    "extended_lr=held would train at the rates at which the run has ended, and these are 0; try "
                    "extended_lr=new_length"
                )
            trainer.strategy.lr_scheduler_configs = []  # nothing changes the rates any more
        elif self._begins:
            for config in trainer.lr_scheduler_configs:
                _advance(config.scheduler, trainer.global_step if config.interval == "step" else trainer.current_epoch)


def _follow_a_plateau(trainer: Trainer) -> bool:
    return any(config.reduce_on_plateau for config in trainer.lr_scheduler_configs)


def _advance(scheduler: Any, steps: int) -> None:
    """Take a scheduler as it was made so many steps further, whatever rates its optimizer has got since."""
    for group, rate in zip(scheduler.optimizer.param_groups, scheduler.get_last_lr(), strict=True):
        group["lr"] = rate
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the optimizer has not stepped before its scheduler
        for _ in range(steps):
            scheduler.step()

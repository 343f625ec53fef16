"""How fast does each stage learn, and how many are open?"""

from __future__ import annotations

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from headstart.callbacks.training.unfreeze import Unfreeze
from headstart.compat.lightning_trainer import callbacks_of
from headstart.unfreeze.parameter_groups import NO_DECAY


class Rates(Callback):
    """Logs lr/<stage> (0 while it is closed), stages/open and stages/trainable_parameters, every log_every_n_steps.

    The rates are those that the step takes: the scheduler's times what the phase and the warm-up make of it.
    """

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx != 0 and trainer.global_step % trainer.log_every_n_steps:  # type: ignore[attr-defined]
            return
        unfreeze = next(one for one in callbacks_of(trainer) if isinstance(one, Unfreeze))
        figures: dict[str, float] = {}
        for name, rate in unfreeze.rates(trainer.global_step).items():
            part = f"lr/{name.removesuffix(NO_DECAY)}"
            figures[part] = max(rate, figures.get(part, 0.0))  # weights and norms open together, or one of them
        figures["stages/open"] = len([part for part in unfreeze.trainable_parts if part != unfreeze.parts.names[-1]])
        figures["stages/trainable_parameters"] = sum(p.numel() for p in pl_module.parameters() if p.requires_grad)
        for logger in trainer.loggers:
            logger.log_metrics(figures, step=trainer.global_step)

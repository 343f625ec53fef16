"""Learning rate of each stage, and the number of trainable stages, in the logs."""

from __future__ import annotations

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from headstart.callbacks.training.unfreeze import Unfreeze
from headstart.compat.lightning.lightning_trainer import callbacks_of
from headstart.unfreeze.parameter_groups import NO_DECAY


class Rates(Callback):
    """Logs lr/<stage>, stages/trainable and stages/trainable_parameters, every trainer.log_every_n_steps steps.

    The rates are those that the step takes: the scheduler's times what the phase and the warm-up make of it; 0 while
    the stage is frozen.
    """

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx != 0 and trainer.global_step % trainer.log_every_n_steps:  # type: ignore[attr-defined]
            return
        unfreeze = next(callback for callback in callbacks_of(trainer) if isinstance(callback, Unfreeze))
        metrics: dict[str, float] = {}
        for name, rate in unfreeze.rates(trainer.global_step).items():
            stage = f"lr/{name.removesuffix(NO_DECAY)}"
            metrics[stage] = max(rate, metrics.get(stage, 0.0))  # weights and norms learn together, or one of them
        head = unfreeze.parts.names[-1]
        metrics["stages/trainable"] = len([part for part in unfreeze.trainable_parts if part != head])
        metrics["stages/trainable_parameters"] = sum(p.numel() for p in pl_module.parameters() if p.requires_grad)
        for logger in trainer.loggers:
            logger.log_metrics(metrics, step=trainer.global_step)

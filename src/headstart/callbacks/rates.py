"""How fast does each stage learn, and how many are open?"""

from __future__ import annotations

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from headstart.modules.classifier import Classifier


class Rates(Callback):
    """Logs lr/<stage> (0 while it is closed), stages/open and stages/trainable_parameters, every log_every_n_steps."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx != 0 and trainer.global_step % trainer.log_every_n_steps:  # type: ignore[attr-defined]
            return
        assert isinstance(pl_module, Classifier)
        open_parts = {*pl_module.backbone.open_names, "head"}
        figures: dict[str, float] = {}
        for group in trainer.optimizers[0].param_groups:
            part = group["name"].removesuffix("/no_decay")
            figures[f"lr/{part}"] = float(group["lr"]) if part in open_parts else 0.0
        figures["stages/open"] = len(open_parts) - 1
        figures["stages/trainable_parameters"] = sum(p.numel() for p in pl_module.parameters() if p.requires_grad)
        for logger in trainer.loggers:
            logger.log_metrics(figures, step=trainer.global_step)

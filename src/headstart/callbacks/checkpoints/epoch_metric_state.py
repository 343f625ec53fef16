"""What an epoch has measured so far, in checkpoints: metrics of a resumed epoch are those of the whole epoch."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from headstart.callbacks.checkpoints.per_rank_state import of_each_rank, of_this_rank
from headstart.compat.lightning.lightning_metrics import logged_metrics, restore_logged_metrics
from headstart.compat.torchmetrics_state import metric_states, restore_metric_states


class EpochMetricState(Callback):
    """Saves in checkpoints what each rank's metrics have gathered, so that a resumed epoch's metrics are of all of it.

    They are the states of the module's torchmetrics, the running means of the values that were logged, and the metrics
    that schedulers and callbacks may ask for (trainer.callback_metrics). Lightning saves none of them.
    """

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if trainer.training:  # the best checkpoint is written in a validation, and nobody goes on from it
            state = {
                "metrics": metric_states(pl_module),
                "logged": logged_metrics(trainer),
                "figures": dict(trainer.callback_metrics),
            }
            checkpoint["so_far"] = of_each_rank(_on_cpu(state))

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if "so_far" in checkpoint:
            self._loaded = of_this_rank(checkpoint["so_far"], trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._loaded:
            restore_metric_states(pl_module, self._loaded["metrics"])
            trainer.callback_metrics.update(self._loaded["figures"])
            restore_logged_metrics(trainer, pl_module, self._loaded["logged"])
            self._loaded = {}


def _on_cpu(value: Any) -> Any:
    """The same on the CPU, not changed by what follows."""
    if isinstance(value, dict):
        return {key: _on_cpu(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_on_cpu(item) for item in value]
    return value.detach().to("cpu", copy=True) if isinstance(value, torch.Tensor) else value

"""Oracle accuracy: that on the labels of the target, which an adaptation must not use."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from headstart.callbacks.domains.domain_predictions import limited
from headstart.callbacks.predictions.gathered_predictions import predicted_batches
from headstart.compat.lightning.lightning_trainer import datamodule_of
from headstart.features.cache.cached_activations import Engine
from headstart.modules.classifier import Classifier

FIGURE = "oracle/accuracy"


class Oracle(Callback):
    """Logs the accuracy on the test images at each validation inside fit, of the model that a test now would test.

    So adaptation=adabn is judged with the target's statistics, as its test is.
    It goes to the loggers alone, past trainer.callback_metrics: no checkpoint, scheduler or early stop can see it.

    Attributes:
        best: The best accuracy so far; nan before the first validation.
    """

    def __init__(self) -> None:
        self.best = float("nan")

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit":
            return
        assert isinstance(pl_module, Classifier)
        data = datamodule_of(trainer)
        counts = torch.zeros(2, device=pl_module.device)  # right answers, images
        adapted = pl_module.adapted
        with adapted.as_tested(data, pl_module.stages) if adapted is not None else nullcontext():
            for part in predicted_batches(
                pl_module, limited(data.test_dataloader(), trainer.limit_test_batches), Engine.of(trainer)
            ):
                logits, label = part.side.logits, part.side.label
                assert label is not None
                counts += torch.stack(
                    [(logits.argmax(dim=1) == label.to(logits.device)).sum(), counts.new_tensor(len(label))]
                )
        right, images = trainer.strategy.reduce(counts, reduce_op="sum").tolist()
        accuracy = right / images
        self.best = max(accuracy, self.best) if self.best == self.best else accuracy
        place = {"epoch": float(trainer.current_epoch + (trainer.global_step > 0)), FIGURE: accuracy}
        for logger in trainer.loggers:
            logger.log_metrics(place, step=trainer.global_step)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]

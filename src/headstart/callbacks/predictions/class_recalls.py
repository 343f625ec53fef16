"""Recall of each class on the test images."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from headstart.compat.lightning.lightning_trainer import datamodule_of
from headstart.types import Batch


class ClassRecalls(Callback):
    """Counts the recalled test images of each class, over all ranks, where an image has one label.

    Attributes:
        by_class: Class name -> its recall, None of a class without images; None before a test, and of several labels.
    """

    def __init__(self) -> None:
        self.by_class: dict[str, float | None] | None = None
        self._counts: Tensor | None = None  # (2, classes): right answers, images

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        classes = len(datamodule_of(trainer).class_names)
        self.by_class, self._counts = None, torch.zeros(2, classes, device=pl_module.device)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if batch.label.ndim > 1:
            self._counts = None
        if self._counts is not None:
            self._counts += right_and_all(outputs, batch.label.to(outputs.device)).to(self._counts)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._counts is None:
            return
        right, images = trainer.strategy.reduce(self._counts, reduce_op="sum").tolist()
        names: tuple[str, ...] = datamodule_of(trainer).class_names
        self.by_class = {
            name: hit / count if count else None for name, hit, count in zip(names, right, images, strict=True)
        }
        self._counts = None


def right_and_all(logits: Tensor, labels: Tensor) -> Tensor:
    """Logits (N, C), labels (N,) -> counts (2, C): of each class its images that are recognised, and all of them."""
    classes = logits.shape[1]
    right = labels[logits.argmax(dim=1) == labels]
    return torch.stack([torch.bincount(counted, minlength=classes) for counted in (right, labels)])

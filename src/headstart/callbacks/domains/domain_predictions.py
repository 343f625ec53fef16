"""Predictions on source and target at each validation, gathered once and handed to listening callbacks."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any, Protocol, runtime_checkable

import numpy as np
from pytorch_lightning import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader

from headstart.adaptation.adaptation import Side
from headstart.callbacks.predictions.gathered_predictions import PredictedBatch, of_all_ranks, predicted_batches
from headstart.compat.lightning.lightning_trainer import callbacks_of, datamodule_of
from headstart.features.cache.cached_activations import Engine
from headstart.modules.classifier import Classifier
from headstart.selection.score_inputs import Sides
from headstart.types import Batch

TRAIN_IMAGES = 1024


@runtime_checkable
class Listener(Protocol):
    """A callback that is told."""

    def on_both_sides(self, trainer: Trainer, pl_module: LightningModule, sides: Sides) -> None: ...


class DomainPredictions(Callback):
    """Gathers once a validation what the model makes of both domains, and hands it to whoever listens.

    To listen, a callback of the same trainer has the method `on_both_sides(trainer, pl_module, sides)`, as Listener
    says. It is called at the end of each validation inside fit, that before the first step among them, on every rank,
    in the order of the trainer's callbacks, and may log by pl_module.log_dict. `sides` is the same on all ranks, of
    the images of all of them, and belongs to all listeners: leave it as it is. The model is in eval() as the validation
    had it and gradients are off, as they are for the listener: torch.enable_grad() is for who wants to learn from the
    tensors. No random number is drawn, and nothing is kept; a listener that draws some takes a generator of its own.

    The source's val is what the validation itself has seen. The target's val, as many batches of it as
    trainer.limit_val_batches allows, and a fixed choice of the source's training images (1024 of them, not more than
    the target's val has) go through the model after it; none where the run's training images are the target's alone.
    The data are a headstart.data.datasets.paired_domains.Domains, or have what it has.
    """

    def __init__(self) -> None:
        self._source_val: list[PredictedBatch] = []
        self._target_val: DataLoader[Batch] | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        hidden = datamodule_of(trainer).hidden
        hidden.trainer = trainer  # which says whose share is wanted
        self._target_val = hidden.val_dataloader()  # once, as its workers stay

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._source_val = []

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._source_val.append(PredictedBatch.of(Side(**outputs), batch))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit":
            return
        assert isinstance(pl_module, Classifier)
        assert self._target_val is not None
        engine = Engine.of(trainer)
        target_val = limited(self._target_val, trainer.limit_val_batches)
        predictions = {
            "source_train": list(predicted_batches(pl_module, _source_train(trainer), engine)),
            "source_val": self._source_val,
            "target_val": list(predicted_batches(pl_module, target_val, engine)),
        }
        gathered = of_all_ranks(predictions)
        sides = Sides(gathered.get("source_train"), gathered["source_val"], gathered["target_val"])
        self._source_val = []
        callbacks = callbacks_of(trainer)
        for callback in callbacks:
            if isinstance(callback, Listener):
                callback.on_both_sides(trainer, pl_module, sides)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._source_val, self._target_val = [], None


def _source_train(trainer: Trainer) -> Iterable[Batch]:
    """This rank's share of the training images that are chosen."""
    data = datamodule_of(trainer)
    images = data.sizes["train"]
    count = 0 if data.unlabelled else min(TRAIN_IMAGES, images, data.hidden.sizes["val"])
    chosen = np.sort(np.random.default_rng(data.seed).permutation(images)[:count])
    batches: Iterable[Batch] = data.plain_dataloader(
        "train", chosen[trainer.global_rank :: trainer.world_size], stored=True
    )
    return batches


def limited(loader: DataLoader[Batch], limit: float) -> Iterable[Batch]:
    """The first batches of a loader, as many as a trainer's limit_..._batches says: a number, or a share as a float."""
    return islice(loader, limit if isinstance(limit, int) else int(len(loader) * limit))

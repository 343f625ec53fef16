"""Finalizing of an adapted model, after the choice of the best weights and before their test."""

from __future__ import annotations

from pytorch_lightning import Callback, LightningModule, Trainer

from headstart.compat.lightning.lightning_trainer import datamodule_of
from headstart.modules.classifier import Classifier


class Finalize(Callback):
    """Lets the adaptation of a Classifier change the model when it is about to be tested, and is on its device.

    Attributes:
        changed: Whether it did, so that the weights that were tested can be written.
    """

    def __init__(self) -> None:
        self.changed = False

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if isinstance(pl_module, Classifier):
            self.changed = pl_module.finalize(datamodule_of(trainer))

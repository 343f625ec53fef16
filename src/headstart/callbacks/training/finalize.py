"""What does an adaptation change between the choice of the best weights and their test?"""

from __future__ import annotations

from pytorch_lightning import Callback, LightningModule, Trainer

from headstart.compat.lightning_trainer import datamodule_of
from headstart.modules.classifier import Classifier


class Conclude(Callback):
    """Lets the adaptation of a Classifier change it when it is about to be tested.

    changed: whether it did, so that who tested it keeps what was tested. Here, as the model is on its device then.
    """

    def __init__(self) -> None:
        self.changed = False

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if isinstance(pl_module, Classifier):
            self.changed = pl_module.conclude(datamodule_of(trainer))

"""Which stages are open in which epoch?"""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge
from pytorch_lightning import Callback, LightningModule, Trainer

from headstart.modules.classifier import Classifier
from headstart.types import UserError


class Unfreeze(Callback):
    """Opens a backbone's stages from the head towards the input; the head itself is always open.

    first_epoch: when the stage next to the head opens, None for never. every_epochs: from one stage to the
    next, 0 opens all at first_epoch. A closed stage does not change: no gradient, no weight decay, no
    BatchNorm statistics. Which stages are open is a function of the epoch alone, so a resumed run has the
    same ones.
    """

    def __init__(self, *, first_epoch: Annotated[int, Ge(0)] | None, every_epochs: Annotated[int, Ge(0)]) -> None:
        self.first_epoch, self.every_epochs = first_epoch, every_epochs

    def open_count(self, epoch: int, stages: int) -> int:
        """How many of so many stages are open in an epoch, counted from the head."""
        if self.first_epoch is None or epoch < self.first_epoch:
            return 0
        if self.every_epochs == 0:
            return stages
        return min(stages, 1 + (epoch - self.first_epoch) // self.every_epochs)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            if trainer.world_size > 1:
                raise UserError(
                    f"unfreezing on {trainer.world_size} devices is not there yet: the replicas would drift apart "
                    "without a word; use trainer.devices=1"
                )
            self._apply(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._apply(trainer, pl_module)

    def _apply(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Classifier)
        backbone = pl_module.backbone
        count = self.open_count(trainer.current_epoch, len(backbone.names))
        backbone.open_only(backbone.names[len(backbone.names) - count :])

"""A callback that writes the weights with which training begins."""

from pathlib import Path

import torch
from pytorch_lightning import Callback


class FirstWeights(Callback):
    """Writes the model's state dict before the first optimizer step to <folder>/first.pt."""

    def __init__(self, folder) -> None:
        self.folder = Path(folder)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if trainer.global_step == 0 and batch_idx == 0:
            torch.save(pl_module.state_dict(), self.folder / "first.pt")

"""A failure in a rank while it trains."""

import os

from pytorch_lightning import Callback


class Bomb(Callback):
    """Goes off on rank 1 in the second epoch of the run whose mode and seed the environment names."""

    def __init__(self, *, name):
        self.name = name

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if os.environ.get("BOMB") == self.name and trainer.global_rank == 1 and trainer.current_epoch == 1:
            raise RuntimeError(f"boom in {self.name}")

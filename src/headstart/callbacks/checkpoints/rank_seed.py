"""A seed of its own for each rank, before training begins."""

from __future__ import annotations

import random
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge
from pytorch_lightning import Callback, LightningModule, Trainer


class RankSeed(Callback):
    """Gives each rank its own random numbers, a function of seed and rank, before training begins.

    Until then all ranks draw the same, so that their weights start the same. With the same numbers in training,
    too, dropout would hit the same features on all ranks. A single process goes on with those that it has.

    Args:
        seed: The seed of the run.
    """

    def __init__(self, *, seed: Annotated[int, Ge(0)]) -> None:
        self.seed = seed

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.world_size == 1:  # Lightning seeds all ranks alike shortly before this hook: not earlier
            return
        drawn = np.random.SeedSequence([self.seed, trainer.global_rank]).generate_state(3)
        torch.manual_seed(int(drawn[0]))
        np.random.seed(int(drawn[1]))  # what a user's augmentation may draw from
        random.seed(int(drawn[2]))

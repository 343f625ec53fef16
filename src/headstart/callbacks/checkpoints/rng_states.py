"""States of the random number generators, in checkpoints."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from headstart.callbacks.checkpoints.per_rank_state import of_each_rank, of_this_rank


class RngStates(Callback):
    """Keeps every rank's random states in checkpoints, and puts them back when a resumed run begins to train.

    Torch's on the CPU and on the rank's GPU, numpy's and Python's, as tensors. Must be the last callback: what
    the others draw at the start of a resumed run would otherwise count.
    """

    def __init__(self) -> None:
        self._loaded: dict[str, Tensor] | None = None

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if trainer.training:  # the best checkpoint is written in a validation, and nobody goes on from it
            checkpoint["random_states"] = of_each_rank(random_states(pl_module.device))

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if "random_states" in checkpoint:
            self._loaded = of_this_rank(checkpoint["random_states"], trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._loaded is not None:
            set_random_states(self._loaded, pl_module.device)
            self._loaded = None


def random_states(device: torch.device) -> dict[str, Tensor]:
    """The states of all generators that are global in this process, the GPU's where the device is one."""
    _, words, gauss = random.getstate()
    numpys = np.random.get_state(legacy=False)
    assert isinstance(numpys, dict)  # which legacy=False gives; numpy's types allow a tuple
    twister = numpys["state"]
    states = {
        "torch": torch.get_rng_state(),
        "python": torch.tensor(words, dtype=torch.int64),
        "python_gauss": torch.tensor([] if gauss is None else [gauss], dtype=torch.float64),
        "numpy": torch.tensor([*twister["key"].tolist(), twister["pos"], numpys["has_gauss"]], dtype=torch.int64),
        "numpy_gauss": torch.tensor(numpys["gauss"], dtype=torch.float64),
    }
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_random_states(states: dict[str, Tensor], device: torch.device) -> None:
    """Let the same numbers come next as came when these were taken."""
    torch.set_rng_state(states["torch"])
    random.setstate((3, tuple(states["python"].tolist()), next(iter(states["python_gauss"].tolist()), None)))
    *key, position, has_gauss = states["numpy"].tolist()
    twister = {"key": np.array(key, dtype=np.uint32), "pos": position}
    gauss = float(states["numpy_gauss"])
    np.random.set_state({"bit_generator": "MT19937", "state": twister, "has_gauss": has_gauss, "gauss": gauss})
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)

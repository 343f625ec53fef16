"""Small controls for the tests."""

from pathlib import Path

import torch

SHORT = ["trainer.max_epochs=2", "callbacks.figures=null"]


FIRST = ["trainer.max_epochs=1", "trainer.limit_train_batches=1", "callbacks.figures=null", "start_class_means=false"]


def state_of(folder, name="last.ckpt"):
    return torch.load(Path(folder) / "checkpoints" / name, weights_only=True)["state_dict"]

"""Checkpoints, read without running code from them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from headstart.types import UserError


def loaded(path: Path, *, mmap: bool = False) -> Any:
    """What a checkpoint of ours holds, on the CPU. mmap: tensors are read from the file when they are wanted.

    Raises UserError where it holds more than tensors and plain values, and what torch raises where it is no whole file.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError:  # whose text advises to run what the file says
        raise UserError(
            f"{path} is damaged, or holds more than tensors and plain values, and to read that would run code from the "
            "file; a checkpoint of headstart holds no more: take the file from where it was copied from once more, or "
            "train the run again"
        ) from None

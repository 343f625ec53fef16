"""Checkpoint files: written straight to the disk, whole or not at all; copies of a checkpoint in memory."""

from __future__ import annotations

import copy
import errno
import os
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from headstart.types import UserError


class UnbufferedCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint while it is packed; who calls it sees to it that a file is whole or not there.

    Lightning's own packs the whole file in memory first, copies it twice, and then writes: twice as long.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        if storage_options is not None:
            raise TypeError(f"checkpoints are files without storage_options, got {storage_options}")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_checkpoint(checkpoint, Path(path))


def write_checkpoint(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint's file.

    Args:
        checkpoint: What `loaded` shall give.
        path: The file, in the folder of a run's checkpoints.

    Raises:
        UserError: If the disk is full; nothing of the file is left then.
    """
    try:
        torch.save(checkpoint, path)
    except (OSError, RuntimeError) as error:  # torch says of a full disk that it is at an unexpected position
        if not _is_full(path):
            raise
        path.unlink()
        run = path.parent.parent
        # a source model, a trial or a chosen model is of a command that goes on with it
        goes_on = f"go on from the last checkpoint with headstart resume={run}"
        if not (run / ".hydra").is_dir():
            goes_on = "give the same command again"
        raise UserError(
            f"no space is left on the disk to write {path.name.removesuffix('.partial')} in {path.parent}; make room, "
            f"then {goes_on}"
        ) from error


def sync_to_disk(path: Path) -> None:
    """Wait until the system has written a file, or the names in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def copied_to_cpu(value: Any) -> Any:
    """A copy of a checkpoint whose tensors lie on the CPU, and which training does not change."""
    if isinstance(value, dict):
        copied = copy.copy(value)  # of its own class, with what torch notes beside the tensors
        for key, item in value.items():
            copied[key] = copied_to_cpu(item)
        return copied
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return type(value)(copied_to_cpu(item) for item in value)
    return value.detach().to("cpu", copy=True) if isinstance(value, torch.Tensor) else copy.deepcopy(value)


def _is_full(path: Path) -> bool:
    """Whether the file cannot grow because the disk, or what one may use of it, is full."""
    try:
        with path.open("ab") as file:
            file.write(bytes(2**16))
    except OSError as error:
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return False

"""Shared memory, in which worker processes hand over their batches: how much there is, and how many workers fit."""

from __future__ import annotations

import math
import os
from pathlib import Path

from headstart.system.resource_errors import LESS_SHARED_MEMORY
from headstart.types import UserError

PLACE = Path("/dev/shm")  # where Linux keeps it; other systems have no such limit
LOADERS = 2  # that may have batches ready at once: that of train, and within an epoch that of val
BESIDE = 2**16  # bytes of a batch besides its images: labels, positions, and pages that are not full


def free_bytes() -> float:
    """Of shared memory; math.inf where the system does not say."""
    try:
        room = os.statvfs(PLACE)
    except (AttributeError, OSError):
        return math.inf
    return room.f_bavail * room.f_frsize


def fitting_workers(count: int, *, ahead: int, batch_bytes: int, batches: int) -> int:
    """So many workers, or fewer, that what they have ready fits into the shared memory that is free.

    Args:
        count: Workers at most.
        ahead: Batches that each worker has ready.
        batch_bytes: Of one batch.
        batches: Of one pass, as no more are ever ready.
    """
    room = free_bytes()
    while count and _needed(count, ahead, batch_bytes, batches) > room:
        count -= 1
    return count


def check_shared_memory(count: int, *, ahead: int, batch_bytes: int, batches: int) -> None:
    """Raises UserError where the batches that so many workers keep ready do not fit: the workers would die or hang."""
    if fitting_workers(count, ahead=ahead, batch_bytes=batch_bytes, batches=batches) == count:
        return
    needed = _needed(count, ahead, batch_bytes, batches)
    raise UserError(
        f"num_workers={count} needs {_mib(needed)} of shared memory for the batches that the worker processes keep "
        f"ready, and {PLACE} has {_mib(free_bytes())} free; {LESS_SHARED_MEMORY}"
    )


def _needed(count: int, ahead: int, batch_bytes: int, batches: int) -> int:
    ready = min(count * ahead + 1, batches)  # and the one that the model computes on
    return LOADERS * ready * (batch_bytes + BESIDE) if count else 0


def _mib(size: float) -> str:
    return f"{size / 2**20:.1f} MiB"

"""State of each rank, gathered into one checkpoint and given back."""

from __future__ import annotations

from typing import Any, TypeVar

import torch.distributed as dist
from pytorch_lightning import Trainer

from headstart.types import UserError

T = TypeVar("T")


def of_each_rank(own: T) -> list[T]:
    """What every rank has, in the order of the ranks; all of them must ask for it."""
    if not dist.is_initialized():
        return [own]
    of_ranks: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(of_ranks, own)
    return of_ranks


def of_this_rank(of_ranks: list[T], trainer: Trainer) -> T:
    """This rank's own of what a checkpoint holds. Raises UserError where there are more or fewer ranks than then."""
    if len(of_ranks) != trainer.world_size:
        raise UserError(
            f"the checkpoint was written by {len(of_ranks)} process(es), and each has its own random numbers in it; "
            f"this run has {trainer.world_size}; resume with trainer.devices such that there are {len(of_ranks)} again"
        )
    return of_ranks[trainer.global_rank]

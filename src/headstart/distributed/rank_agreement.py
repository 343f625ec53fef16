"""Agreement of the ranks of a job: the same config on all, values of rank 0, waiting for each other."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytorch_lightning as pl
import torch.distributed as dist
from omegaconf import DictConfig

from headstart.callbacks.checkpoints.per_rank_state import of_each_rank
from headstart.runs.folder.run_naming import config_hash
from headstart.runs.training.run_trainer import made_trainer
from headstart.system import rank_environment
from headstart.types import UserError

log = logging.getLogger(__name__)
PATIENCE = timedelta(days=7)  # for what one rank does while the others wait, as a source model's training


def agree(cfg: DictConfig) -> None:
    """Join this process to the other ranks of its job; Lightning then trains in the group of processes made here.

    Raises UserError on every rank where their configs differ.
    """
    strategy = made_trainer(cfg.trainer, logger=False).strategy
    strategy.connect(pl.LightningModule())  # a strategy wants a model before it joins anything
    strategy.setup_environment()
    own_hash = config_hash(cfg)
    if rank_environment.rank() > 0:  # rank 0 has it in the name of its folder
        log.info("rank %d of %d, hash %s", rank_environment.rank(), rank_environment.world_size(), own_hash)
    hashes = of_each_rank(own_hash)
    if len(set(hashes)) > 1:
        table = ", ".join(f"rank {number}: {digest}" for number, digest in enumerate(hashes))
        by = rank_environment.launcher()
        reason = (
            f"does each rank run a sweeper that draws its own values? Start the sweep without {by} (headstart starts "
            "the ranks of each job itself), or give the sweeper a seed"
            if by != "headstart"
            else "does the config ask for the time (${now:...}) or the environment? Give it a value of its own"
        )
        raise UserError(
            f"the ranks of this job have different configs (hashes: {table}), so they would train different models "
            f"together; {reason}"
        )


def of_first(value: Any) -> Any:
    """What rank 0 has; the value itself where there is one process."""
    if not dist.is_initialized():
        return value
    held = [value]
    dist.broadcast_object_list(held, src=0)
    return held[0]


def largest(value: float) -> float:
    """The largest of all ranks' values."""
    return max(of_each_rank(value))


def wait_for_all(*, long: bool = False) -> None:
    """Return when every rank has come here. long: also after hours."""
    if not dist.is_initialized():
        return
    if long:
        patient = dist.new_group(backend="gloo", timeout=PATIENCE)
        assert isinstance(patient, dist.ProcessGroup)  # else this rank would not be in it, but all are
        dist.barrier(group=patient)
        dist.destroy_process_group(patient)
    else:
        dist.barrier()

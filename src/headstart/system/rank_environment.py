"""The rank of this process in its job, and what started it."""

from __future__ import annotations

import os
from typing import Literal

from headstart.types import UserError

OWN = "HEADSTART_RANK"  # in the environment of the ranks that headstart itself started (distributed/rank_launcher.py)
SHELLS = ("bash", "interactive")  # SLURM's job names of a shell, in which nobody has started ranks


def launcher() -> Literal["headstart", "torchrun", "SLURM"] | None:
    """Who has started this process as one of several ranks; None where nobody has: it is alone, or starts them."""
    if OWN in os.environ:
        return "headstart"
    # the two that follow as Lightning recognises them, and in its order: torchrun can be used inside SLURM
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return "torchrun" if int(os.environ["WORLD_SIZE"]) > 1 else None
    if "SLURM_PROCID" in os.environ and os.environ.get("SLURM_JOB_NAME") not in SHELLS:
        return "SLURM" if int(os.environ.get("SLURM_NTASKS", "1")) > 1 else None
    return None


def check_is_no_rank(what: str) -> None:
    """Raise UserError where this process is one of several ranks.

    Args:
        what: Starts the jobs of a sweep, `hydra/launcher=slots`.
    """
    if launcher() is not None:
        raise UserError(
            f"{what} is one process that starts all others; give the command without torchrun or srun "
            "(trainer=ddp starts the ranks of each job)"
        )


def rank() -> int:
    """Which of the ranks, over all nodes; 0 where there is one process."""
    names = {"headstart": "LOCAL_RANK", "torchrun": "RANK", "SLURM": "SLURM_PROCID"}
    started_by = launcher()
    return 0 if started_by is None else int(os.environ[names[started_by]])


def world_size() -> int:
    """How many ranks were started, over all nodes; 1 where nobody has started any."""
    names = {"headstart": "WORLD_SIZE", "torchrun": "WORLD_SIZE", "SLURM": "SLURM_NTASKS"}
    started_by = launcher()
    return 1 if started_by is None else int(os.environ[names[started_by]])

"""SLURM jobs: whether this process belongs to one, whether it was requeued, and how it is queued again."""

from __future__ import annotations

import logging
import os
import subprocess

from headstart.system.rank_environment import SHELLS

log = logging.getLogger(__name__)


def job_id() -> str | None:
    """The id of the batch job that this process belongs to, of an array with the task's; None outside of one.

    A process in an interactive shell belongs to none, as nobody could start it again.
    """
    if os.environ.get("SLURM_JOB_NAME") in SHELLS:
        return None
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


def was_requeued() -> bool:
    """Whether SLURM has started the job's script before: what it had begun is to go on."""
    return job_id() is not None and os.environ.get("SLURM_RESTART_COUNT", "0") not in ("", "0")


def requeue() -> str:
    """Ask SLURM to run the job again -> what came of it, in words."""
    job = job_id()
    try:
        done = subprocess.run(
            ["scontrol", "requeue", str(job)], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"SLURM could not be asked to run job {job} again ({error})"
    if done.returncode:
        return f"SLURM does not run job {job} again ({' '.join(done.stderr.split())})"
    return f"SLURM runs job {job} again"

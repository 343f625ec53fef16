"""The task `status`: what the jobs of a sweep do now, from another shell."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import Annotated

from annotated_types import Gt
from omegaconf import DictConfig

from headstart.runs.folder.run_naming import OUTPUTS
from headstart.runs.status.job_states import STATES, JobState, job_states
from headstart.runs.status.planned_jobs import command_of_job
from headstart.system.aligned_columns import aligned
from headstart.system.credential_masking import masked
from headstart.system.files.setting_paths import given_path
from headstart.types import UserError

CLEAR = "\x1b[H\x1b[2J"  # of a terminal


def status(*, cfg: DictConfig, dir: str | Path, every: Annotated[float, Gt(0)] | None) -> list[JobState]:  # noqa: A002
    """Print a line for each job of a sweep: state, epoch, metric, time; of failed ones the error and the command again.

    Nothing is written, and no job is disturbed.

    Args:
        cfg: The composed config, of which nothing is read.
        dir: The sweep's folder.
        every: Seconds between two tables, until no job runs any more; None for one table.

    Raises:
        UserError: There is no such folder, or no job in it.
    """
    del cfg
    folder = given_path(dir, "status.dir")
    while True:
        jobs = _jobs(folder)
        text = masked("\n".join(_lines(jobs, folder)))
        print(f"{CLEAR}{text}" if every is not None and sys.stdout.isatty() else text, flush=True)
        if every is None or not any(job.state == "running" for job in jobs):
            return jobs
        time.sleep(every)


def _jobs(folder: Path) -> list[JobState]:
    if not folder.is_dir():
        there = sorted(path.name for path in OUTPUTS.iterdir() if path.is_dir()) if OUTPUTS.is_dir() else []
        told = f"; {OUTPUTS} holds {', '.join(there[:20])}" if there else ""
        raise UserError(f"status.dir must be the folder of a sweep, got {folder}, which is not there{told}")
    jobs = job_states(folder)
    if not jobs:
        raise UserError(f"status.dir must be the folder of a sweep, got {folder}, which holds no job")
    return jobs


def _lines(jobs: list[JobState], folder: Path) -> list[str]:
    counts = {state: sum(job.state == state for job in jobs) for state in STATES}
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    rows = [["state", "epoch", "metric", "value", "time", "left", "run"]]
    rows += [_row(job) for job in sorted(jobs, key=lambda job: STATES.index(job.state))]
    lines = aligned(rows)
    again = [job for job in jobs if job.state in ("failed", "stopped") and job.overrides is not None]
    for job in again:
        lines += ["", f"{job.state}: {job.folder.name}{f': {job.error}' if job.error else ''}"]
        lines.append(f"  {command_of_job(folder, job.overrides or (), outputs=OUTPUTS)}")
    return [f"{len(jobs)} jobs: {told}", *lines]


def _row(job: JobState) -> list[str]:
    epochs = f"/{job.epochs}" if job.epochs is not None else ""
    return [
        job.state,
        "" if math.isnan(job.epoch) else f"{job.epoch:g}{epochs}",
        job.metric if not math.isnan(job.value) else "",
        "" if math.isnan(job.value) else f"{job.value:.3f}",
        _duration(job.elapsed_s),
        _duration(job.left_s),
        job.folder.name,
    ]


def _duration(seconds: float) -> str:
    if math.isnan(seconds):
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

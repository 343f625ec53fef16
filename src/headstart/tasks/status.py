"""The task `status`: what the jobs of a sweep do now, from another shell."""

from __future__ import annotations

import math
import shutil
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
from headstart.system.duration_text import duration_text
from headstart.system.files.setting_paths import given_path
from headstart.system.terminal_printing import tell
from headstart.system.terminal_text import without_commands
from headstart.types import UserError

# of a terminal: to its upper left corner, the rest of a line, the rest of the screen
HOME, LINE_END, SCREEN_END = "\x1b[H", "\x1b[K", "\x1b[J"


def status(*, cfg: DictConfig, dir: str | Path, every: Annotated[float, Gt(0)] | None) -> list[JobState]:  # noqa: A002
    """Print a line for each job of a sweep: state, phase, epoch, metric, time; of failed ones the error too.

    With `every`, a terminal shows one table that is renewed; elsewhere each job has a new line when it has changed.
    Nothing is written, and no job is disturbed.

    Args:
        cfg: The composed config, of which nothing is read.
        dir: The sweep's folder.
        every: Seconds between two looks, until no job runs any more; None for one table.

    Raises:
        UserError: There is no such folder, or no job in it.
    """
    del cfg
    folder = given_path(dir, "status.dir")
    jobs = _jobs(folder)
    if every is None:
        _print(_lines(jobs, folder))
        return jobs
    follow = _repaint if sys.stdout.isatty() else _tell_changes
    before: list[JobState] = []
    while True:
        follow(before, jobs)
        if not any(job.state == "running" for job in jobs):
            break
        time.sleep(every)
        before, jobs = jobs, _jobs(folder)
    _print(_lines(jobs, folder) if follow is _tell_changes else _again(jobs, folder))
    return jobs


def _print(lines: list[str]) -> None:
    if lines:
        tell(*lines)


def _repaint(before: list[JobState], jobs: list[JobState]) -> None:
    """The table in place of the one before, as much of it as the terminal has room for."""
    del before
    width, height = shutil.get_terminal_size()
    lines = [_counts(jobs), *_table(jobs)]
    room = max(4, height - 2)
    if len(lines) > room:
        lines = [*lines[: room - 1], f"... and {len(lines) - room + 1} more jobs"]
    shown = "".join(f"{without_commands(masked(line))[: width - 1]}{LINE_END}\n" for line in lines)
    print(f"{HOME}{shown}{SCREEN_END}", end="", flush=True)


def _tell_changes(before: list[JobState], jobs: list[JobState]) -> None:
    """A line for each job whose state, phase or epoch is not what it was; first for those that have begun."""
    earlier = {job.folder: _progress(job) for job in before}
    now = time.strftime("%H:%M:%S")
    changed = [job for job in jobs if _progress(job) != earlier.get(job.folder, ("waiting", "", ""))]
    _print([" ".join([now, *(cell for cell in _row(job) if cell)]) for job in changed])


def _progress(job: JobState) -> tuple[str, str, str]:
    return job.state, _phase(job), f"{job.epoch:g}" if job.epoch >= 0 else ""


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
    return [_counts(jobs), *_table(jobs), *_again(jobs, folder)]


def _counts(jobs: list[JobState]) -> str:
    counts = {state: sum(job.state == state for job in jobs) for state in STATES}
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    return f"{len(jobs)} jobs: {told}"


def _table(jobs: list[JobState]) -> list[str]:
    rows = [["state", "phase", "epoch", "metric", "value", "time", "left", "run"]]
    rows += [_row(job) for job in sorted(jobs, key=lambda job: STATES.index(job.state))]
    return aligned(rows)


def _again(jobs: list[JobState], folder: Path) -> list[str]:
    """Of the jobs that failed or were stopped the error, and the command that runs each again."""
    lines = []
    again = [job for job in jobs if job.state in ("failed", "stopped") and job.overrides is not None]
    for job in again:
        lines += ["", f"{job.state}: {job.folder.name}{f': {job.error}' if job.error else ''}"]
        lines.append(f"  {command_of_job(folder, job.overrides or (), outputs=OUTPUTS)}")
    return lines


def _phase(job: JobState) -> str:
    """What is trainable now: `head`, `head, 2 stages`."""
    if math.isnan(job.trainable):
        return ""
    return f"head, {job.trainable:g} stage{'s' if job.trainable > 1 else ''}" if job.trainable else "head"


def _row(job: JobState) -> list[str]:
    epochs = f"/{job.epochs}" if job.epochs is not None else ""
    return [
        job.state,
        _phase(job),
        "" if math.isnan(job.epoch) else f"{job.epoch:g}{epochs}",
        job.metric if not math.isnan(job.value) else "",
        "" if math.isnan(job.value) else f"{job.value:.3f}",
        duration_text(job.elapsed_s),
        duration_text(job.left_s),
        job.folder.name,
    ]

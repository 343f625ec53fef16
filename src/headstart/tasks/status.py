"""The task `status`: what the jobs of a sweep do now, from another shell."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import Annotated

from annotated_types import Gt
from omegaconf import DictConfig

from headstart.runs.folder.run_naming import OUTPUTS
from headstart.runs.status.job_states import JobState, job_states
from headstart.runs.status.planned_jobs import command_of_job
from headstart.runs.status.status_table import changed_lines, counts_line, fitted, table_lines
from headstart.system.files.setting_paths import given_path
from headstart.system.printing.terminal_printing import tell
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
    lines = fitted([counts_line(jobs), *table_lines(jobs)], width=width, height=max(4, height - 2))
    shown = "".join(f"{line}{LINE_END}\n" for line in lines)
    print(f"{HOME}{shown}{SCREEN_END}", end="", flush=True)


def _tell_changes(before: list[JobState], jobs: list[JobState]) -> None:
    _print(changed_lines(before, jobs))


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
    return [counts_line(jobs), *table_lines(jobs), *_again(jobs, folder)]


def _again(jobs: list[JobState], folder: Path) -> list[str]:
    """Of the jobs that failed or were stopped the error, and the command that runs each again."""
    lines = []
    again = [job for job in jobs if job.state in ("failed", "stopped") and job.overrides is not None]
    for job in again:
        lines += ["", f"{job.state}: {job.folder.name}{f': {job.error}' if job.error else ''}"]
        lines.append(f"  {command_of_job(folder, job.overrides or (), outputs=OUTPUTS)}")
    return lines

"""How far a sweep's command is, and when it will be through."""

from __future__ import annotations

import time
from pathlib import Path

from headstart.runs.folder.run_folder import RESULT
from headstart.runs.status.planned_jobs import FILE, planned_jobs
from headstart.system.printing.duration_text import duration_text

ERROR = "error.txt"


def sweep_progress(sweep: Path, *, now: float | None = None) -> str:
    """`3 of 20 jobs are done, 1 failed; about 12:10 left`; empty where the jobs are not known, or there is one.

    The time left is that of the jobs which this command has done, times how many are left: jobs at once count as such.

    Args:
        sweep: The folder of the sweep.
        now: Seconds since the epoch; None: the time of this moment.
    """
    jobs = planned_jobs(sweep)
    if len(jobs) < 2:
        return ""
    now = time.time() if now is None else now
    began = _modified(sweep / "multirun.yaml") or _modified(sweep / FILE)
    ends = [_modified(job.folder / RESULT) for job in jobs]
    failed = sum(end is None and _since(job.folder / ERROR, began) for job, end in zip(jobs, ends, strict=True))
    done = sum(end is not None for end in ends)
    own = failed + sum(end is not None and began is not None and end >= began for end in ends)
    waiting = len(jobs) - done - failed
    told = f"{done} of {len(jobs)} jobs are done{f', {failed} failed' if failed else ''}"
    if waiting and own and began is not None and now > began:
        told += f"; about {duration_text((now - began) / own * waiting)} left"
    return told


def _modified(file: Path) -> float | None:
    try:
        return file.stat().st_mtime
    except OSError:
        return None


def _since(file: Path, began: float | None) -> bool:
    written = _modified(file)
    return written is not None and (began is None or written >= began)

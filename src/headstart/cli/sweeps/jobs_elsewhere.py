"""What became of a sweep's jobs in other processes, read from their folders."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus

from headstart.cli.run_job import ERROR_FILE, FAILURES, FOLDERS, VALUES, Failure
from headstart.runs.folder.run_folder import finished
from headstart.runs.status.planned_jobs import planned_jobs
from headstart.types import DivergedError

CLASS = re.compile(r"(?:\w+\.)+(?=\w+(?::|$))")  # where the class of a trace's last line lies


def note_jobs_elsewhere(sweep: Path, since_ns: int, returned: object) -> None:
    """Add to FAILURES, FOLDERS and VALUES the jobs that ran in processes of a launcher.

    Args:
        sweep: The folder of the sweep.
        since_ns: When the command began.
        returned: What the sweeper has returned; None where a job failed.
    """
    FAILURES.extend(failures_elsewhere(sweep, since_ns))
    failed = {failure.folder for failure in FAILURES if not isinstance(failure.error, DivergedError)}
    for job in planned_jobs(sweep.resolve()):
        if job.folder not in FOLDERS and job.folder not in failed and finished(job.folder) is not None:
            FOLDERS.append(job.folder)
    if not VALUES:
        VALUES.extend(_values(returned))


def failures_elsewhere(sweep: Path, since_ns: int) -> list[Failure]:
    """The jobs below a folder that failed or diverged in other processes since then, as their files say.

    Args:
        sweep: The folder.
        since_ns: The time.
    """
    folders_here = {failure.folder for failure in FAILURES}
    failures = []
    for file in sorted(sweep.resolve().glob(f"*/{ERROR_FILE}")):
        if file.parent not in folders_here and file.stat().st_mtime_ns >= since_ns:
            lines = file.read_text(encoding="utf-8").strip().splitlines()
            # as of a job of this process: a mistake is its message alone
            message = CLASS.sub("", lines[-1], count=1).removeprefix("UserError: ") if lines else "no message"
            has_diverged = (finished(file.parent) or {}).get("state") == "diverged"
            failures.append(Failure(file.parent, message, DivergedError(message) if has_diverged else None))
    return failures


def _values(returned: object) -> Iterator[float]:
    """The finite values of jobs, as sweepers return them."""
    for value in values_of_jobs(returned):
        if isinstance(value, float) and math.isfinite(value):
            yield value


def values_of_jobs(returned: object) -> Iterator[object]:
    """What the tasks of jobs have returned, in batches or one after the other, as sweepers return them.

    Args:
        returned: What the sweeper has returned.
    """
    if isinstance(returned, list | tuple):
        for part in returned:
            yield from values_of_jobs(part)
    elif isinstance(returned, JobReturn) and returned.status == JobStatus.COMPLETED:
        yield returned.return_value

"""Lines that say what the jobs of a sweep do."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from headstart.runs.status.job_states import STATES, JobState
from headstart.system.credential_masking import masked
from headstart.system.printing.aligned_columns import aligned
from headstart.system.printing.duration_text import duration_text
from headstart.system.printing.terminal_escaping import without_commands


def counts_line(jobs: Sequence[JobState]) -> str:
    """`20 jobs: 2 running, 18 waiting`.

    Args:
        jobs: Of the sweep.
    """
    counts = {state: sum(job.state == state for job in jobs) for state in STATES}
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    return f"{len(jobs)} jobs: {told}"


def table_lines(jobs: Sequence[JobState]) -> list[str]:
    """A line for each job below one of titles, those that run first.

    Args:
        jobs: Of the sweep.
    """
    rows = [["state", "phase", "epoch", "metric", "value", "time", "left", "run"]]
    rows += [_row(job) for job in sorted(jobs, key=lambda job: STATES.index(job.state))]
    return aligned(rows)


def fitted(lines: Sequence[str], *, width: int, height: int) -> list[str]:
    """As many lines as there is room for, none wider than the terminal, nothing in them that it would obey.

    Args:
        lines: Of a table, the most important first.
        width: Of the terminal.
        height: Lines that there is room for, 2 at least.
    """
    shown = list(lines)
    if len(shown) > height:
        shown = [*shown[: height - 1], f"... and {len(shown) - height + 1} more jobs"]
    return [without_commands(masked(line))[: width - 1] for line in shown]


def changed_lines(before: Sequence[JobState], jobs: Sequence[JobState]) -> list[str]:
    """A line for each job whose state, phase or epoch is not what it was; first for those that have begun.

    Args:
        before: The jobs as they were.
        jobs: The jobs as they are.
    """
    earlier = {job.folder: _progress(job) for job in before}
    now = time.strftime("%H:%M:%S")
    changed = [job for job in jobs if _progress(job) != earlier.get(job.folder, ("waiting", "", ""))]
    return [" ".join([now, *(cell for cell in _row(job) if cell)]) for job in changed]


def _progress(job: JobState) -> tuple[str, str, str]:
    return job.state, _phase(job), f"{job.epoch:g}" if job.epoch >= 0 else ""


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

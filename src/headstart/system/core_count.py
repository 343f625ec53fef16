"""CPU cores that this process may use."""

from __future__ import annotations

import os

SHARE = "HEADSTART_CORES"  # of a job beside others on this machine (distributed/job_slots.py)


def usable_cores() -> int:
    """CPU cores that this process may use: its share where jobs run beside each other, else what the system says."""
    shared = core_share()
    if shared is not None:
        return shared
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def core_share() -> int | None:
    """The cores of this job beside others; None where it is alone."""
    text = os.environ.get(SHARE, "")
    return int(text) if text.isdecimal() and int(text) > 0 else None

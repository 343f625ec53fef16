"""Time and memory of a process."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
LAST = 400  # characters of what a failed process said


@dataclass(frozen=True)
class Ran:
    """seconds: from before its start to its end. peak_mib: the largest resident memory of it or one of its children
    (a worker of a loader is one). began: the time of day. error: None where it ended with 0."""

    seconds: float
    peak_mib: float
    began: float
    error: str | None


def ran(command: Sequence[str], *, cwd: Path, limit_s: float, env: Mapping[str, str] | None = None) -> Ran:
    """Run to its end, or to limit_s: then it and its children are killed. What it prints goes to cwd/output.txt.

    The caller must be small: Linux counts what a process had before exec as its own.
    """
    # where Python may not keep what it has compiled, no start is a warm one
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    late: list[bool] = []
    with (cwd / "output.txt").open("w", encoding="utf-8") as output:
        began, clock = time.time(), time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=cwd,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env={**inherited, "PYTHONPATH": str(HERE), "TORCH_CPP_LOG_LEVEL": "ERROR", **(env or {})},
        )

        def kill() -> None:
            late.append(True)
            os.killpg(process.pid, signal.SIGKILL)

        timer = threading.Timer(limit_s, kill)
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - clock
        timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    error = None
    if late:
        error = f"took longer than {limit_s:.0f} s"
    elif process.returncode:
        said = (cwd / "output.txt").read_text(encoding="utf-8", errors="replace").strip()
        error = f"ended with {process.returncode}: {said[-LAST:]}"
    return Ran(seconds, usage.ru_maxrss / 1024, began, error)  # Linux counts KiB

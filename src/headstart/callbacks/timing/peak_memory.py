"""Peak memory of this process, or of its GPU, from one question to the next."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import torch

EVERY_S = 0.1  # between two looks; a look takes some 20 microseconds
STATM, STATUS = Path("/proc/self/statm"), Path("/proc/self/status")


class PeakMemory:
    """The most memory, from one question to the next.

    On a GPU it is what torch has allocated on it at most, exactly. Else it is this process's resident memory: the most
    that was seen in ten looks a second, and exactly the most where it was more than ever before in this process. Mapped
    files that are in memory count, worker processes do not. Where the system does not say what is resident now (it is
    known on Linux only) it is the most since the process began.
    """

    def __init__(self) -> None:
        self._device: torch.device | None = None
        self._seen = 0.0
        self._highest = 0.0  # of the process when the question was last asked
        self._over = threading.Event()
        self._watcher: threading.Thread | None = None

    def begin(self, device: torch.device) -> None:
        """Watch this device's memory from now on."""
        self.end()
        self._device = device
        self._anew()
        if device.type != "cuda" and resident_mib() is not None:
            self._over = threading.Event()
            self._watcher = threading.Thread(target=self._watch, args=(self._over,), name="memory", daemon=True)
            self._watcher.start()

    def taken(self) -> float | None:
        """The most since `begin` or since this was last asked, in MiB; None where nothing is watched."""
        if self._device is None:
            return None
        if self._device.type == "cuda":
            most = torch.cuda.max_memory_allocated(self._device) / 2**20
        else:
            highest = highest_mib()
            # a record is exact, also where it stood between two looks
            most = highest if highest > self._highest else max(self._seen, resident_mib() or highest)
        self._anew()
        return round(most, 1)

    def end(self) -> None:
        """Watch no longer."""
        self._over.set()
        self._device = self._watcher = None

    def _anew(self) -> None:
        assert self._device is not None
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            self._seen, self._highest = resident_mib() or 0.0, highest_mib()

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(EVERY_S):
            now = resident_mib() or 0.0
            if now > self._seen:
                self._seen = now


def resident_mib() -> float | None:
    """What this process has in memory now; None where the system does not say."""
    try:
        return int(STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (OSError, ValueError, IndexError):
        return None


def highest_mib() -> float:
    """The most that this process ever had in memory."""
    try:
        (line,) = [line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) / 1024
    except (OSError, ValueError):
        import resource

        # of the process that started this one too, on some systems; bytes on macOS, KiB elsewhere
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20

"""The time of a command, over all processes that have worked on it."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

from headstart.runs.folder.run_folder import write_json
from headstart.types import UserError

FILE = "time_spent.json"
UNITS = {"s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
TIME = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$")


def seconds_of(text: str | float, setting: str) -> float:
    """The seconds of a time as 90s, 30min or 2h; a number is seconds.

    Args:
        text: The time.
        setting: What it is called on the command line.

    Raises:
        UserError: It is no time above 0.
    """
    match = TIME.match(str(text).lower())
    unit = UNITS.get((match[2] or "s") if match else "")
    if match is None or unit is None or not 0 < float(match[1]) * unit < float("inf"):
        raise UserError(f"{setting} must be a time above 0 as 90s, 30min or 2h, got {text!r}")
    return float(match[1]) * unit


class TimeLeft:
    """What is left of a command's time; what earlier processes have spent in the same folder counts.

    Args:
        folder: Of the command, where time_spent.json is kept.
        seconds: The whole time.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self.seconds = seconds
        self._file = folder / FILE
        self._earlier = self._read()
        self._begun = time.monotonic()

    @property
    def spent(self) -> float:
        """Seconds that are spent."""
        return self._earlier + time.monotonic() - self._begun

    @property
    def left(self) -> float:
        """Seconds that are left, 0 at least."""
        return max(0.0, self.seconds - self.spent)

    def until(self, share: float) -> float:
        """Seconds that are left until a share of the whole time is spent; 0 at least.

        Args:
            share: Of the whole time.
        """
        return max(0.0, share * self.seconds - self.spent)

    def moment(self, share: float) -> float:
        """When a share of the whole time will be spent, in seconds since 1970.

        Args:
            share: Of the whole time.
        """
        return time.time() + self.until(share)

    def note(self) -> None:
        """Write down what is spent, for a process that goes on after this one was killed."""
        write_json(self._file, {"seconds": self.spent})

    def _read(self) -> float:
        try:
            spent = json.loads(self._file.read_text(encoding="utf-8"))["seconds"]
        except (OSError, ValueError, KeyError, TypeError):
            return 0.0
        return float(spent) if isinstance(spent, int | float) and spent >= 0 else 0.0

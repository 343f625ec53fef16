"""Jobs of a sweep as its own command follows them: what cannot change any more is read once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from headstart.runs.folder.folder_mark import MARK
from headstart.runs.folder.run_folder import RESULT
from headstart.runs.status.job_states import ERROR, JobState, job_state
from headstart.runs.status.planned_jobs import FILE, planned_jobs


class FollowedSweep:
    """The jobs of the command that runs now, in a sweep's folder.

    A job of this command is known by its files' times, not by its lock, which a look would hold for a moment.

    Args:
        folder: Gives the sweep's, which has its name only once Hydra has begun.
        since_ns: When the command began.
    """

    def __init__(self, folder: Callable[[], Path], *, since_ns: int) -> None:
        self._folder = folder
        self._since = since_ns
        self._over: dict[Path, tuple[tuple[int, int], JobState]] = {}  # by what its files' times were then

    @property
    def folder(self) -> Path:
        """The sweep's folder, as far as it is known now."""
        return self._folder()

    def jobs(self) -> list[JobState]:
        """What each job does now; empty as long as the command has not planned any."""
        folder = self.folder
        if _modified(folder / FILE) < self._since:
            return []
        return [self._state(job.folder, job.overrides) for job in planned_jobs(folder)]

    def _state(self, folder: Path, overrides: tuple[str, ...]) -> JobState:
        times = _modified(folder / RESULT), _modified(folder / ERROR)
        known = self._over.get(folder)
        if known is not None and known[0] == times:
            return known[1]
        begun = _modified(folder / MARK) >= self._since
        if not times[0] and not (times[1] >= self._since) and not begun:
            return JobState(folder, overrides, "waiting")
        is_trained = begun and times[0] < self._since and times[1] < self._since
        state = job_state(folder, overrides, is_trained=is_trained)
        if not is_trained:
            self._over[folder] = times, state
        return state


def _modified(file: Path) -> int:
    """Nanoseconds; 0 where there is no such file."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0

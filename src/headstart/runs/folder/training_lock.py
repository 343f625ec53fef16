"""One process trains what several ask for, the others wait for its result."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from headstart.report.result_digests import CURVE, WEIGHTS, changed_files
from headstart.runs.folder.folder_mark import holder
from headstart.runs.folder.run_folder import finished, result_damage
from headstart.system.files.file_lock import locked
from headstart.types import UserError

log = logging.getLogger(__name__)
LOCK = ".lock"  # in a run's folder


def made_once(folder: Path, digest: str, make: Callable[[], dict[str, Any]], *, what: str) -> dict[str, Any]:
    """The result in the folder, made now if it is not there whole; one process makes it, the others wait.

    digest: of what is made; its lock lies beside the folder. what: is made, in a line.
    """
    if result := whole_result(folder, what=what):
        return result
    folder.parent.mkdir(parents=True, exist_ok=True)
    with held_alone(folder.parent / f"{digest}.lock", what=f"the {what} {folder.name}", folder=folder):
        return whole_result(folder, what=what) or make()


def whole_result(folder: Path, *, what: str | None = None) -> dict[str, Any] | None:
    """The result in the folder, None where there is none, or it or a file that goes with it is damaged.

    what: lies there; with it, the log says of a damaged one that it is made anew.
    """
    result = finished(folder)
    damage = result_damage(folder) if result is None else ""
    if damage:
        damage = f"its result.json is damaged ({damage})"
    elif result is not None and (changed := changed_files(folder, result, (*CURVE, WEIGHTS))):
        damage = f"{', '.join(changed)} changed since it was finished"
    if damage and what is not None:
        log.warning("the %s in %s is made anew: %s", what, folder, damage)
    return None if damage else result


@contextmanager
def held_alone(file: Path, *, what: str, folder: Path, waits: bool = True) -> Iterator[None]:
    """Hold the lock of this file, which other processes wait for, and which the system frees when its holder dies.

    what: they wait for, in a line. folder: of the run that it is for, whose mark says who is training it. Where the
    file system has no locks, a warning says that nobody waits. Raises UserError where another process holds it and
    this one does not wait.
    """

    def busy() -> None:
        if not waits:
            raise UserError(
                f"{what} is being trained by {holder(folder)}; wait for its end, or give this run another folder "
                "(hydra.run.dir=<folder>)"
            )
        log.info("waiting for %s, which %s is training; Ctrl-C stops waiting alone", what, holder(folder))

    with locked(file, busy=busy, doing=f"trains {what}"):
        yield


def is_held(file: Path) -> bool:
    """Whether another process holds the lock of this file now.

    A link is no lock of ours: to open what it leads to could empty it.
    """
    if file.is_symlink() or not file.is_file():
        return False
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except (OSError, NotImplementedError):
        return False
    lock.release()
    return False

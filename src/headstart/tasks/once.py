"""One process trains what several ask for, the others wait for its result."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from headstart.tasks.folders import finished

log = logging.getLogger(__name__)
LOCK = ".lock"  # in a run's folder


def made_once(folder: Path, digest: str, make: Callable[[], dict[str, Any]], *, what: str) -> dict[str, Any]:
    """The result in the folder, made now if it is not there; one process makes it, the others wait.

    digest: of what is made; its lock lies beside the folder. what: is made, in a line.
    """
    if result := finished(folder):
        return result
    folder.parent.mkdir(parents=True, exist_ok=True)
    with held_alone(folder.parent / f"{digest}.lock", what=f"the {what} {folder.name}"):
        return finished(folder) or make()


@contextmanager
def held_alone(file: Path, *, what: str) -> Iterator[None]:
    """Hold the lock of this file, which other processes wait for. what: they wait for, in a line."""
    lock = FileLock(file)  # the system lets go of it when its holder dies
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("waiting for %s, which another run is training", what)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()

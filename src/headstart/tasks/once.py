"""Who trains a model that several runs ask for?"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from headstart.tasks.folders import finished

log = logging.getLogger(__name__)


def made_once(folder: Path, digest: str, make: Callable[[], dict[str, Any]], *, what: str) -> dict[str, Any]:
    """The result in the folder, made now if it is not there; one process makes it, the others wait.

    digest: of what is made; its lock lies beside the folder. what: is made, in a line.
    """
    if result := finished(folder):
        return result
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.parent / f"{digest}.lock")  # the system lets go of it when its holder dies
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("waiting for the %s %s, which another run is training", what, folder.name)
        lock.acquire()
    try:
        return finished(folder) or make()
    finally:
        lock.release()

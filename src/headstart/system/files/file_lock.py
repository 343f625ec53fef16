"""Locks of files, which the system frees when their holder dies."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

log = logging.getLogger(__name__)
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)  # a file system without them


@contextmanager
def locked(file: Path, *, busy: Callable[[], None], doing: str) -> Iterator[None]:
    """Hold the lock of this file, which other processes wait for.

    Where the file system has no locks, a warning says that nobody waits.

    Args:
        file: Is made where it is not there, and stays.
        busy: Called before this process waits for another one; what it raises ends the waiting.
        doing: What no other command may do at this time: `trains the run mine`.
    """
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        busy()
        lock.acquire()
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in NO_LOCKS:
            raise
        log.warning(
            "the file system of %s has no locks (%s), so see to it that no other command %s at this time",
            file.parent, error, doing,
        )  # fmt: skip
    try:
        yield
    finally:
        lock.release()

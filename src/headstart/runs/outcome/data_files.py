"""Names, sizes and times of the files that a run's images lie in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

MOST = 50_000  # files whose sizes and times are asked for; of more the names alone count


def data_files(paths: Sequence[Path]) -> dict[str, Any] | None:
    """What tells quickly whether files are still those that they were; nothing is read of them.

    Args:
        paths: The files; those of a folder that was moved as a whole count as the same.

    Returns:
        {files, bytes, names, times}: how many there are, their size together (None of more than 50,000 files), digests
        of their names and sizes, and of their times. None where there are no files.
    """
    if not paths:
        return None
    texts = sorted(map(str, paths))
    begin = len(os.path.commonpath([str(Path(text).parent) for text in texts]))
    names, times, size = blake2b(digest_size=16), blake2b(digest_size=16), 0
    for text in texts:
        length, time = _size_and_time(text) if len(texts) <= MOST else (0, 0)
        size += max(length, 0)
        names.update(f"{text[begin:]}\0{length}\n".encode(errors="surrogatepass"))
        times.update(f"{time}\n".encode())
    return {
        "files": len(texts),
        "bytes": size if len(texts) <= MOST else None,
        "names": names.hexdigest(),
        "times": times.hexdigest(),
    }


def _size_and_time(path: str) -> tuple[int, int]:
    """Bytes, and nanoseconds of the last change; -1 and 0 where there is no such file."""
    try:
        status = os.stat(path)  # noqa: PTH116  # of many files: a Path takes twice as long
    except OSError:
        return -1, 0
    return status.st_size, status.st_mtime_ns

"""Shards of the feature cache: files of rows with the digests of their images and a checksum."""

from __future__ import annotations

import logging
import os
import zlib
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

log = logging.getLogger(__name__)
SUFFIX = ".safetensors"
DIGEST = np.dtype("S16")  # of an image: 16 bytes
_KNOWN: dict[Path, tuple[int, int]] = {}  # files whose checksum this process has verified: inode, size


class Shard(NamedTuple):
    """Rows and the digests of the images that they belong to."""

    rows: Tensor  # (n, ...), memory-mapped: read when it is used
    digests: NDArray[np.bytes_]  # (n,)


def write(folder: Path, rows: Tensor, digests: NDArray[np.bytes_]) -> Path:
    """Write rows (n, ...) of images with these digests (n,) as a file that is there whole or not at all."""
    rows = rows.contiguous()
    path = folder / f"{blake2b(digests.tobytes(), digest_size=8).hexdigest()}{SUFFIX}"
    partial = path.with_suffix(f".{os.getpid()}.partial")
    table = torch.from_numpy(np.frombuffer(digests.tobytes(), np.uint8).reshape(len(digests), -1).copy())
    save_file({"rows": rows, "digests": table}, partial, metadata={"checksum": _checksum(rows, table)})
    partial.replace(path)
    return path


def read(path: Path) -> Shard | None:
    """The shard in a file; None where there is none, or where it is damaged: then it is removed with a warning.

    The checksum is verified once in a process. Reading a file marks it as used now.
    """
    try:
        status = path.stat()
        with safe_open(path, framework="pt") as file:
            rows, table = file.get_tensor("rows"), file.get_tensor("digests")
            known = _KNOWN.get(path) == (status.st_ino, status.st_size)
            whole = known or (file.metadata() or {}).get("checksum") == _checksum(rows, table)
    except FileNotFoundError:
        return None
    except (SafetensorError, OSError):
        whole = False
    if not whole:
        log.warning("%s is damaged, what it held is computed again", path)
        path.unlink(missing_ok=True)
        return None
    _KNOWN[path] = (status.st_ino, status.st_size)
    # another job may have removed it, or the cache may be someone else's; it is mapped all the same
    with suppress(OSError):
        os.utime(path)
    return Shard(rows, _as_digests(table))


def digests(path: Path) -> NDArray[np.bytes_]:
    """The digests (n,) of the images in a file; none where it cannot be read."""
    try:
        with safe_open(path, framework="pt") as file:
            return _as_digests(file.get_tensor("digests"))
    except (SafetensorError, OSError):
        return np.empty(0, DIGEST)


def _as_digests(table: Tensor) -> NDArray[np.bytes_]:
    return np.frombuffer(table.numpy().tobytes(), DIGEST)


def _checksum(rows: Tensor, table: Tensor) -> str:
    """CRC-32 of all bytes, which finds any damage of up to 32 bits in a row, and others but for one in 4 billion."""
    checksum = zlib.crc32(f"{rows.dtype}{tuple(rows.shape)}".encode())
    for tensor in (rows, table):
        checksum = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy(), checksum)  # type: ignore[arg-type]  # a buffer
    return f"{checksum:08x}"

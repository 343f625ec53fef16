"""Where the files of images lie that names find: a folder, or rows of a table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from headstart.data.decoding.image_decoding import Decoder
from headstart.data.decoding.image_file_summary import Header, header
from headstart.system.files.file_identity import identity

REMEMBERED = 2**16  # files whose header and digest a process remembers, as the jobs of a sweep read the same ones


class ImageStorage(Protocol):
    """Where the files of images lie that names find; workers pickle it."""

    def header(self, name: str, max_pixels: int) -> Header | str:
        """What a file says of its image, or why it says nothing, as where it has too many pixels."""
        ...

    def digest(self, name: str, how: bytes) -> str:
        """Of a whole file, and of how it is decoded."""
        ...

    def decoded(self, name: str, decoder: Decoder) -> NDArray[np.uint8]:
        """Its image. Raises UserError that names the file where there is none."""
        ...


@dataclass(frozen=True)
class FolderStorage:
    """Files whose names are paths relative to the root, with `/`."""

    root: Path

    def header(self, name: str, max_pixels: int) -> Header | str:
        path = f"{self.root}/{name}"
        try:
            return _header(path, identity(path), max_pixels)
        except OSError:
            return header(Path(path), max_pixels)  # which says what is wrong with it

    def digest(self, name: str, how: bytes) -> str:
        path = f"{self.root}/{name}"
        return _digest(path, identity(path), how)

    def decoded(self, name: str, decoder: Decoder) -> NDArray[np.uint8]:
        return decoder(self.root / name)


@lru_cache(REMEMBERED)
def _header(path: str, _: tuple[int, ...], max_pixels: int) -> Header | str:
    return header(Path(path), max_pixels)


@lru_cache(REMEMBERED)
def _digest(path: str, _: tuple[int, ...], how: bytes) -> str:
    return digest_of(Path(path).read_bytes(), how)


def digest_of(content: bytes, how: bytes) -> str:
    """Of a file, and of how it is decoded."""
    return blake2b(how + content, digest_size=16).hexdigest()

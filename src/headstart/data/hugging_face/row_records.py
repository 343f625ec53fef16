"""Images in the rows of the tables of the library `datasets`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from io import SEEK_CUR, SEEK_END, SEEK_SET, BufferedReader, BytesIO, RawIOBase
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from headstart.data.decoding.file_opening import regular
from headstart.data.decoding.image_decoding import Decoder
from headstart.data.decoding.image_file_summary import Header, header
from headstart.data.files.file_location import digest_of
from headstart.types import UserError

HuggingFaceRows = Any  # a datasets.Dataset: the library is optional, and has no types that strict mypy takes


@dataclass(frozen=True)
class RecordStorage:
    """Images in the rows of Arrow tables, which are mapped from files and pickled as their names.

    A name is the split and the row, as row_name() writes it; where a row holds no bytes, the file of its path is read.

    Args:
        path: Of the data set, for messages.
        images: Split -> a data set of one column of {bytes, path}.
    """

    path: str
    images: Mapping[str, HuggingFaceRows]

    def header(self, name: str, max_pixels: int) -> Header | str:
        try:
            return header(self._file(name), max_pixels)
        except (OSError, ValueError) as error:
            return f"{type(error).__name__}: {error}"

    def read(self, name: str) -> bytes:
        file = self._file(name)
        with regular(file) if isinstance(file, Path) else file as stream:
            return stream.read()

    def digest(self, name: str, how: bytes) -> str:
        return digest_of(self.read(name), how)

    def decoded(self, name: str, decoder: Decoder) -> NDArray[np.uint8]:
        try:
            stored = self.read(name)
        except (OSError, ValueError) as error:
            raise UserError(f"{name} of {self.path} cannot be read ({type(error).__name__}: {error})") from error
        return decoder.of_bytes(stored, f"{name} of {self.path}")

    def _file(self, name: str) -> Path | IO[bytes]:
        """The image's file; of bytes in a row, none is copied. Raises ValueError where the row has neither."""
        split, row = name.split("/")
        cell = self.images[split].data.column(0)[int(row)]  # a row asked for otherwise takes ten times as long
        if cell.is_valid and cell["bytes"].is_valid:
            return BufferedReader(_MappedBytes(memoryview(cell["bytes"].as_buffer()).cast("B")))
        if not cell.is_valid or not cell["path"].is_valid:
            raise ValueError("the row holds no image")
        path = cell["path"].as_py()
        if "://" not in path:
            return Path(path)
        with import_module("fsspec").open(path, "rb") as file:  # in an archive, or elsewhere
            return BytesIO(file.read())


class _MappedBytes(RawIOBase):
    """Bytes that are mapped from a file, as a stream; pyarrow's own has no readline(), which Pillow asks for."""

    def __init__(self, stored: memoryview) -> None:
        self._stored, self._at = stored, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        self._at = max(0, offset + {SEEK_SET: 0, SEEK_CUR: self._at, SEEK_END: len(self._stored)}[whence])
        return self._at

    def readinto(self, into: Any) -> int:
        part = self._stored[self._at : self._at + len(into)]
        into[: len(part)] = part
        self._at += len(part)
        return len(part)


def row_name(split: str, row: int) -> str:
    """What an image is called."""
    return f"{split}/{row:07}"

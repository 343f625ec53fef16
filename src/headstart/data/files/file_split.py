"""Image files of one split, read from their storage."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headstart.data.datasets.labelled_split import Labels
from headstart.data.decoding.decoding_threads import by_threads
from headstart.data.decoding.image_decoding import Decoder
from headstart.data.files.file_location import ImageStorage
from headstart.data.files.lazy_split import DecodedSplit


class FileSplit(DecodedSplit):
    """The image files of one split, decoded by as many threads as torch computes with; in a worker that is one.

    Args:
        storage: Where the files lie.
        names: Of the files in their storage.
        label: Labels of all files.
        decoder: What makes pixels of a file.
        cached_images: Number of images, from the first on, that stay in memory once they are decoded.
    """

    def __init__(
        self, storage: ImageStorage, names: list[str], label: Labels, *, decoder: Decoder, cached_images: int = 0
    ) -> None:
        super().__init__(label, decoder=decoder, cached_images=cached_images)
        self.storage, self.names = storage, names
        self._digests: dict[str, str] = {}  # of the files that were read for it

    def taken(self, order: NDArray[np.int64]) -> FileSplit:
        """The files at these positions, in this order."""
        names = [self.names[position] for position in order.tolist()]
        cached_images = min(self._cache.count, len(names))
        taken = FileSplit(self.storage, names, self.label[order], decoder=self.decoder, cached_images=cached_images)
        taken._digests = self._digests
        return taken

    def contents(self) -> list[str]:
        """A digest of each file's bytes and of how they are decoded; each file is read once."""
        return self.digests_of(self.names)

    def digests_of(self, names: list[str]) -> list[str]:
        """What contents() says of these files."""
        how = repr(self.decoder).encode()

        def digest(name: str) -> str:
            return self.storage.digest(name, how)

        new = [name for name in dict.fromkeys(names) if name not in self._digests]
        self._digests.update(zip(new, by_threads(digest, new), strict=True))
        return [self._digests[name] for name in names]

    def extents(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Width and height (B, 2), in pixels, of the files at these positions whose headers say them."""
        names = [self.names[at] for at in positions.tolist()]
        headers = by_threads(lambda name: self.storage.header(name, self.decoder.max_pixels), names)
        return np.asarray(
            [(header.width, header.height) for header in headers if not isinstance(header, str)], np.int64
        )

    def _decoded(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        names = [self.names[at] for at in positions.tolist()]
        return np.stack(by_threads(lambda name: self.storage.decoded(name, self.decoder), names))

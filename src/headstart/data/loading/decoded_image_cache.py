"""Memory for decoded images, shared by the loaders of a process and its workers."""

from __future__ import annotations

import mmap
from math import prod

import numpy as np
from numpy.typing import NDArray


class DecodedImageCache:
    """Room for the first `count` images of a split, filled as they come, so that none is decoded twice.

    Shared by all loaders of this process and by the workers that are forked from it; memory is taken when an image
    is put in. A process that gets it by pickle has none. shape: of each image, uint8.
    """

    def __init__(self, count: int, shape: tuple[int, ...]) -> None:
        self.count, self.shape = count, shape
        # anonymous shared memory: /dev/shm may be small, in containers 64 MB
        self._image = _shared(count * prod(shape)).reshape(count, *shape)
        self._is_in = _shared(count)

    def __reduce__(self) -> tuple[type[DecodedImageCache], tuple[int, tuple[int, ...]]]:
        return DecodedImageCache, (0, self.shape)

    def has(self, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these are there (B,)."""
        is_cached = np.zeros(len(positions), np.bool_)
        inside = positions < self.count
        is_cached[inside] = self._is_in[positions[inside]] == 1
        return is_cached

    def get(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The images at these positions, all of which are there."""
        images: NDArray[np.uint8] = self._image[positions]
        return images

    def put(self, positions: NDArray[np.int64], image: NDArray[np.uint8]) -> None:
        """Store the images that there is room for."""
        inside = positions < self.count
        self._image[positions[inside]] = image[inside]
        self._is_in[positions[inside]] = 1  # last: who sees it finds the whole image


def _shared(size: int) -> NDArray[np.uint8]:
    """Bytes that forked processes share, zero at first."""
    return np.frombuffer(mmap.mmap(-1, size), np.uint8) if size else np.empty(0, np.uint8)

"""Images of one split that are decoded when they are asked for, the first ones cached in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.data.datasets.labelled_split import Labels
from headstart.data.decoding.image_decoding import Decoder
from headstart.data.loading.decoded_image_cache import DecodedImageCache
from headstart.types import SPLITS

SplitOfNames = TypeVar("SplitOfNames")


class DecodedSplit(ABC):
    """The images of one split, decoded when they are asked for.

    Args:
        label: Labels of all images.
        decoder: What makes pixels of a file.
        cached_images: Number of images, from the first on, that stay in memory once they are decoded.
    """

    def __init__(self, label: Labels, *, decoder: Decoder, cached_images: int) -> None:
        self.label, self.decoder = label, decoder
        grey = decoder.channels == 1
        self._cache = DecodedImageCache(cached_images, (decoder.size, decoder.size, *(() if grey else (3,))))

    def at(self, positions: NDArray[np.int64]) -> Tensor:
        """The images at these positions. Raises UserError where one of them cannot be read."""
        is_cached = self._cache.has(positions)
        image = np.empty((len(positions), *self._cache.shape), np.uint8)
        image[is_cached] = self._cache.get(positions[is_cached])
        rest = positions[~is_cached]
        if len(rest):
            image[~is_cached] = self._decoded(rest)
            self._cache.put(rest, image[~is_cached])
        return torch.from_numpy(image)

    @abstractmethod
    def _decoded(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Images that are not cached (B, size, size) or (B, size, size, 3)."""


def cached_splits(
    listed: Mapping[str, tuple[list[str], Labels]],
    *,
    decoder: Decoder,
    cache_gib: float,
    make: Callable[[list[str], Any, int], SplitOfNames],
) -> dict[str, SplitOfNames]:
    """Split -> what `make` gives for its names, their labels and the number of its images that stay in memory.

    Args:
        listed: Split -> names of its images and their labels.
        decoder: Says how large a decoded image is.
        cache_gib: GiB of decoded images in memory: of train, then of val.
        make: Makes a split.
    """
    room = int(cache_gib * 2**30) // (decoder.size**2 * decoder.channels)  # images
    splits: dict[str, SplitOfNames] = {}
    for split in SPLITS:
        names, label = listed[split]
        cached = 0 if split == "test" else min(room, len(names))  # the test is looked at once
        splits[split] = make(names, label, cached)
        room -= cached
    return splits

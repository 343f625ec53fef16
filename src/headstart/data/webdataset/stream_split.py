"""Images of a split in the shards of a WebDataset."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.data.datasets.labelled_split import Labels
from headstart.data.decoding.decoding_threads import by_threads
from headstart.data.decoding.image_decoding import Decoder
from headstart.data.files.lazy_split import DecodedSplit
from headstart.data.webdataset.shard_reading import samples
from headstart.data.webdataset.shard_samples import Sample, SampleMembers
from headstart.types import UserError


class ShardSplit(DecodedSplit):
    """Images of which one knows where they lie, read in the order of the shards as far as that is what is asked for.

    Whoever asks for positions that rise reads each shard once; others read it from its beginning again.

    Args:
        urls: Of the shards.
        places: Of each image, its shard in urls and its number there (N, 2).
        names: Of each image.
        label: Of each image.
        members: Which files of a sample are its image and its class.
        decoder: What makes pixels of a file.
        cached_images: Number of images, from the first on, that stay in memory once they are decoded.
    """

    def __init__(
        self,
        urls: Sequence[str],
        places: NDArray[np.int64],
        names: list[str],
        label: Labels,
        *,
        members: SampleMembers,
        decoder: Decoder,
        cached_images: int = 0,
    ) -> None:
        super().__init__(label, decoder=decoder, cached_images=cached_images)
        self.urls, self.places, self.names, self.members = urls, places, names, members
        self._reader = ShardReader(urls, members)

    def taken(self, order: NDArray[np.int64]) -> ShardSplit:
        """The images at these positions, in this order."""
        names = [self.names[position] for position in order.tolist()]
        return ShardSplit(
            self.urls, self.places[order], names, self.label[order],
            members=self.members, decoder=self.decoder, cached_images=min(self._cache.count, len(names)),
        )  # fmt: skip

    def contents(self) -> list[str]:
        raise NotImplementedError("to know what a stream holds, all of it would have to be read")

    def _decoded(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        places = self.places[positions]
        order = np.lexsort((places[:, 1], places[:, 0]))
        stored = [self._reader.at(int(shard), int(number)) for shard, number in places[order].tolist()]
        names = [self.names[position] for position in positions[order].tolist()]
        decoded = by_threads(lambda file: self.decoder.of_bytes(*file), list(zip(stored, names, strict=True)))
        image = np.empty((len(positions), *decoded[0].shape), np.uint8)
        image[order] = np.stack(decoded)
        return image


class ShardReader:
    """Where a process is in a shard that it reads; another process that gets it begins anew."""

    def __init__(self, urls: Sequence[str], members: SampleMembers) -> None:
        self.urls, self.members = urls, members
        self._shard, self._next = -1, 0
        self._samples: Iterator[Sample] = iter(())
        self._process = -1

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_shard": -1, "_samples": iter(()), "_process": -1}

    def at(self, shard: int, number: int) -> bytes:
        """The image of that number in a shard. Raises UserError where there are fewer."""
        if (self._shard, self._process) != (
            shard,
            os.getpid(),
        ) or self._next > number:  # a fork shares the file's place
            self._shard, self._next, self._process = shard, 0, os.getpid()
            self._samples = samples(self.urls[shard], self.members)
        for sample in self._samples:
            self._next += 1
            if self._next > number:
                return sample.image
        self._shard = -1
        raise UserError(f"{self.urls[shard]} held more than {number} images before, and has {self._next} now")

"""Training batches of a stream, the same whichever worker makes them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from headstart.data.datasets.image_batches import training_batch
from headstart.data.decoding.decoding_threads import by_threads
from headstart.data.decoding.image_decoding import Decoder
from headstart.data.loading.batch_order import DeviceBatchSampler, EpochOrder, StoredOrder
from headstart.data.transforms.augmentation import Augmentation
from headstart.data.webdataset.shard_reading import name_of, samples
from headstart.data.webdataset.shard_samples import ClassNumbers, Sample, SampleMembers
from headstart.types import Batch, Pixels, UserError

T = TypeVar("T")


class ShardPiece(NamedTuple):
    """A part of a shard: its images from one to before another; None = to its last."""

    shard: int
    begin: int
    end: int | None


class Read(NamedTuple):
    """A sample, and where it lies."""

    shard: int
    number: int
    sample: Sample


class StreamShares(DeviceBatchSampler):
    """One device's batches of an epoch as (epoch, number of the batch): as many and as large as DeviceBatchSampler's.

    What is in them, the stream says. In an order that does not change, they are those of epoch 0.
    """

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch = 0 if isinstance(self.sampler, StoredOrder) else self.sampler.epoch
        for number in range(self.first, len(self)):
            yield [(epoch, number)]


def stream_shares(
    *, images: int, batch_size: int, rank: int, world_size: int, seed: int, overfits: bool
) -> StreamShares:
    """Those of an epoch of so many images; overfits: the same ones in each epoch."""
    order = (StoredOrder if overfits else EpochOrder)(length=images, seed=seed)
    return StreamShares(order, batch_size=batch_size, rank=rank, world_size=world_size)


@dataclass(frozen=True, kw_only=True)
class Lanes:
    """Which parts of which shards one device reads in an epoch, in each of its `lanes` at once.

    Batch k comes from lane k % lanes, whichever worker makes it, so that the number of workers changes nothing.

    Args:
        shards: Number of shards.
        counts: Samples of each shard. With them, the shards of an epoch stand in an order by seed and epoch, one behind
            the other and over again, and their first images are cut into a segment for each lane of each device: each
            comes once (as long as there are enough), whatever the number of devices. Without them, each lane has shards
            of its own, begins again where they end, and stops when its batches are full.
        sizes: Images of each batch of the device.
        lanes: Shards that the device reads at once.
        rank: Of the device.
        world_size: Number of devices.
        seed: Of the run.
    """

    shards: int
    counts: tuple[int, ...] | None
    sizes: tuple[int, ...]
    lanes: int
    rank: int
    world_size: int
    seed: int

    def images(self, lane: int) -> int:
        """That a lane gives in an epoch."""
        return sum(self.sizes[lane :: self.lanes])

    def before(self, batch: int) -> int:
        """Images that its lane gives before a batch."""
        return sum(self.sizes[batch % self.lanes : batch : self.lanes])

    def pieces(self, epoch: int, lane: int) -> Iterator[ShardPiece]:
        """What a lane reads in an epoch; without counts, there is no end."""
        if self.counts is None:
            every = self.world_size * self.lanes
            for again in count():
                for shard in self._order(epoch, again)[self.rank * self.lanes + lane :: every].tolist():
                    yield ShardPiece(shard, 0, None)
        begin = self.rank * sum(self.sizes) + sum(self.images(before) for before in range(lane))
        yield from self._cut(epoch, begin, begin + self.images(lane))

    def _cut(self, epoch: int, begin: int, end: int) -> Iterator[ShardPiece]:
        """Images begin to end of all that the epoch's order has."""
        assert self.counts is not None
        again, whole = divmod(begin, sum(self.counts))
        at = begin - whole  # where a round of all shards begins
        while at < end:
            for shard in self._order(epoch, again).tolist():
                first, last = max(begin - at, 0), min(end - at, self.counts[shard])
                if first < last:
                    yield ShardPiece(shard, first, last)
                at += self.counts[shard]
            again += 1

    def _order(self, epoch: int, again: int) -> NDArray[np.int64]:
        return np.random.default_rng([self.seed, epoch, again]).permutation(self.shards)


class StreamedBatches(Dataset[Batch]):
    """Training batches by (epoch, number): each is the next one of its lane, or what is before it is read first.

    So a resumed run, or another worker, gets the same batch; what is skipped is read and not decoded. shuffle: images,
    undecoded, that wait in each lane to be drawn. Workers pickle it.
    """

    def __init__(
        self,
        *,
        urls: Sequence[str],
        lanes: Lanes,
        members: SampleMembers,
        classes: ClassNumbers,
        shuffle: int,
        decoder: Decoder,
        pixels: Pixels,
        augment: Augmentation | None,
    ) -> None:
        self.urls, self.lanes, self.members, self.classes = urls, lanes, members, classes
        self.shuffle, self.decoder, self.pixels, self.augment = shuffle, decoder, pixels, augment
        self._open: dict[int, tuple[int, int, Iterator[Read]]] = {}  # of a lane: epoch, its next batch, what follows
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_open": {}}

    def __getitem__(self, place: tuple[int, int]) -> Batch:
        return self.__getitems__([place])

    def __getitems__(self, places: Sequence[tuple[int, int]]) -> Batch:
        ((epoch, batch),) = places
        if self._process != os.getpid():  # a fork shares the places in open files
            self._open, self._process = {}, os.getpid()
        lane = batch % self.lanes.lanes
        at, number, stream = self._open.get(lane, (-1, -1, iter(())))
        if (at, number) != (epoch, batch):
            stream = islice(self._shuffled(epoch, lane), self.lanes.before(batch), None)
        read = list(islice(stream, self.lanes.sizes[batch]))
        self._open[lane] = (epoch, batch + self.lanes.lanes, stream)
        return self._made(epoch, read)

    def _shuffled(self, epoch: int, lane: int) -> Iterator[Read]:
        rng = np.random.default_rng([self.lanes.seed, epoch, self.lanes.rank, lane])
        return drawn(self._read(epoch, lane), self.shuffle, rng)

    def _read(self, epoch: int, lane: int) -> Iterator[Read]:
        """What a lane reads in an epoch, in the order of the shards. Raises UserError where a shard ends too early."""
        for piece in self.lanes.pieces(epoch, lane):
            url, number = self.urls[piece.shard], -1
            for number, sample in enumerate(islice(samples(url, self.members), piece.end)):
                if number >= piece.begin:
                    yield Read(piece.shard, number, sample)
            if piece.end is not None and number + 1 < piece.end:
                raise UserError(
                    f"{url} must hold {piece.end} images at least, as the index or an earlier look at it says, it has "
                    f"{number + 1}"
                )
            if number < 0 and piece.end is None:
                raise UserError(f"{url} holds no image; take it out of urls")

    def _made(self, epoch: int, read: Sequence[Read]) -> Batch:
        names = [name_of(self.urls[sample.shard], sample.sample.key) for sample in read]
        images = [sample.sample.image for sample in read]
        decoded = by_threads(lambda pair: self.decoder.of_bytes(*pair), list(zip(images, names, strict=True)))
        label = [self.classes.number(sample.sample.word, name) for sample, name in zip(read, names, strict=True)]
        # of the random numbers: the same ones for an image whatever the number of devices
        position = np.array([(sample.shard << 32) + sample.number for sample in read], np.int64)
        return training_batch(
            torch.from_numpy(np.stack(decoded)),
            torch.tensor(label),
            epoch=np.full(len(read), epoch),
            position=position,
            pixels=self.pixels,
            augment=self.augment,
            seed=self.lanes.seed,
        )


def drawn(stream: Iterator[T], room: int, rng: np.random.Generator) -> Iterator[T]:
    """All of a stream, each drawn from the `room` that wait; at most that many are held."""
    waiting: list[T] = []
    for item in stream:
        if len(waiting) < room:
            waiting.append(item)
            continue
        at = int(rng.integers(room))
        yield waiting[at]
        waiting[at] = item
    for at in rng.permutation(len(waiting)).tolist():
        yield waiting[at]

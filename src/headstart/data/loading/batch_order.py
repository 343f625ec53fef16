"""Order of the training images, and the batches of one of several devices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

LATER = 2**32  # epochs: no run has so many


class EpochOrder(Sampler[int]):
    """All positions 0..n-1, in an order that only the seed and the epoch decide.

    torch's RandomSampler takes its order from the global random state: a layer more in the model would change
    the order of the images, and a resumed run would see another one. Lightning calls `set_epoch`.
    """

    def __init__(self, *, length: int, seed: int) -> None:
        self.length = length
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def positions(self) -> NDArray[np.int64]:
        """The order of this epoch (n,)."""
        return np.random.default_rng([self.seed, self.epoch]).permutation(self.length)

    def rng_epochs(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """The epoch whose random numbers each place of the order takes (n,): this one, where no image comes twice."""
        return np.full(len(positions), self.epoch, np.int64)

    def __iter__(self) -> Iterator[int]:
        yield from self.positions().tolist()

    def __len__(self) -> int:
        return self.length


class StoredOrder(EpochOrder):
    """The positions as they are stored, in every epoch: to learn the first few by heart."""

    def positions(self) -> NDArray[np.int64]:
        return np.arange(self.length)


class BalancedOrder(EpochOrder):
    """As many positions as there are images, each class equally often, in an order of the seed and the epoch alone.

    Of n places each class has n // classes, the rest go to classes drawn at random. All images of a class come before
    one of them comes again, and an image that comes again in an epoch has other random numbers: those of an epoch no
    run reaches.

    Args:
        length: Number of images.
        seed: Of the run.
        pools: The positions of each class's images; one may lie in several.
    """

    def __init__(self, *, length: int, seed: int, pools: Sequence[NDArray[np.int64]]) -> None:
        super().__init__(length=length, seed=seed)
        self.pools = [pool for pool in pools if len(pool)]

    def positions(self) -> NDArray[np.int64]:
        rng = np.random.default_rng([self.seed, self.epoch])
        places = np.full(len(self.pools), self.length // len(self.pools))
        places[rng.permutation(len(self.pools))[: self.length % len(self.pools)]] += 1
        drawn = []
        for pool, count in zip(self.pools, places.tolist(), strict=True):
            rounds = [rng.permutation(pool) for _ in range(-(-count // len(pool)))]
            drawn += [np.concatenate(rounds)[:count]] if rounds else []
        return rng.permutation(np.concatenate(drawn))

    def rng_epochs(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Of an image's first place this epoch's, of its later ones those of epochs that no run reaches."""
        order = np.argsort(positions, kind="stable")
        same = positions[order]
        begins = np.flatnonzero(np.r_[True, same[1:] != same[:-1]])
        turn = np.empty(len(positions), np.int64)
        turn[order] = np.arange(len(positions)) - np.repeat(begins, np.diff(np.r_[begins, len(positions)]))
        return self.epoch + LATER * turn


class DeviceBatchSampler(Sampler[list[tuple[int, int]]]):
    """One device's batches of an epoch, each image as (epoch of its random numbers, position), from batch `first` on.

    The order is cut into global batches of `batch_size * world_size`, of which the device takes every
    `world_size`-th image from its rank on: the global batches are those of one process with as large a batch.
    All devices have equally many batches, equally large ones: fewer than `world_size` images at the end of the
    order are lost. Where a last batch would hold a single image, it joins the one before it, as BatchNorm
    refuses to train on one image whose map is 1x1, and learns nonsense from a larger one.
    """

    def __init__(self, order: EpochOrder, *, batch_size: int, rank: int, world_size: int) -> None:
        self.sampler = order  # where Lightning looks for set_epoch
        self.batch_size = batch_size
        self.rank = rank
        self.world_size = world_size
        self.first = 0

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        positions = self.sampler.positions()
        rng_epochs = self.sampler.rng_epochs(positions)
        for share in self._shares():
            yield list(zip(rng_epochs[share].tolist(), positions[share].tolist(), strict=True))

    def positions(self) -> Iterator[NDArray[np.int64]]:
        """The device's batches of the epoch as positions (B,), from batch `first` on."""
        positions = self.sampler.positions()
        for share in self._shares():
            yield positions[share]

    def _shares(self) -> Iterator[slice]:
        """Where in the order the device's batches lie, from batch `first` on."""
        edges = self._edges()
        for begin, end in zip(edges[self.first : -1], edges[self.first + 1 :], strict=True):
            yield slice(begin + self.rank, end, self.world_size)

    def sizes(self) -> NDArray[np.int64]:
        """Images in each of the device's batches of the whole epoch, the same in every epoch."""
        return np.diff(self._edges()) // self.world_size

    def __len__(self) -> int:
        """Batches of the whole epoch, wherever this pass begins."""
        return len(self._edges()) - 1

    def _edges(self) -> list[int]:
        """Where in the order each global batch begins, and where the last one ends."""
        end = len(self.sampler) - len(self.sampler) % self.world_size
        edges = [*range(0, end, self.batch_size * self.world_size), end]
        if len(edges) > 2 and self.batch_size > 1 and edges[-1] - edges[-2] == self.world_size:
            del edges[-2]
        return edges

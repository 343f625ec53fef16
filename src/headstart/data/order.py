"""Which images make up a training batch of one of several devices?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler


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

    def __iter__(self) -> Iterator[int]:
        yield from self.positions().tolist()

    def __len__(self) -> int:
        return self.length


class StoredOrder(EpochOrder):
    """The positions as they are stored, in every epoch: to learn the first few by heart."""

    def positions(self) -> NDArray[np.int64]:
        return np.arange(self.length)


class Shares(Sampler[list[tuple[int, int]]]):
    """One device's batches of an epoch, each image as (epoch, position), from batch `first` on.

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
        epoch = self.sampler.epoch
        for share in self.positions():
            yield [(epoch, position) for position in share.tolist()]

    def positions(self) -> Iterator[NDArray[np.int64]]:
        """The device's batches of the epoch as positions (B,), from batch `first` on."""
        positions, edges = self.sampler.positions(), self._edges()
        for begin, end in zip(edges[self.first : -1], edges[self.first + 1 :], strict=True):
            yield positions[begin + self.rank : end : self.world_size]

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

"""In which batches does an epoch pass through the training images?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import BatchSampler, Sampler


class EpochOrder(Sampler[int]):
    """All positions 0..n-1, in an order that only the seed and the epoch decide.

    torch's RandomSampler takes its order from the global random state: a layer more in the model would change
    the order of the images, and a resumed run would see another one. Lightning calls `set_epoch`.
    """

    def __init__(self, *, length: int, seed: int, epoch: int) -> None:
        self.length = length
        self.seed = seed
        self.epoch = epoch

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        yield from np.random.default_rng([self.seed, self.epoch]).permutation(self.length).tolist()

    def __len__(self) -> int:
        return self.length


class NoLoneImage(BatchSampler):
    """Batches of `batch_size` positions; a last batch of one joins the batch before it.

    BatchNorm refuses to train on a single image whose map is 1x1, and learns nonsense from a larger one.
    The signature is BatchSampler's, which Lightning needs to put a distributed sampler inside.
    """

    def __iter__(self) -> Iterator[list[int]]:
        waiting: list[int] = []
        for batch in super().__iter__():
            if waiting and len(batch) == 1 < self.batch_size:
                waiting = waiting + batch
                continue
            if waiting:
                yield waiting
            waiting = batch
        if waiting:
            yield waiting

    def __len__(self) -> int:
        count = super().__len__()
        images = len(self.sampler)  # type: ignore[arg-type]  # torch types it as any iterable; ours have a length
        joined = not self.drop_last and count > 1 and images % self.batch_size == 1 < self.batch_size
        return count - joined

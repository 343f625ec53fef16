"""Loaders of training and evaluation batches, of images or of what is already known of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from headstart.data.loading.batch_order import DeviceBatchSampler
from headstart.types import Batch, UserError


class Rows(Protocol):
    """What stands in for a split's images: the activations that enter stage `start` of the backbone.

    Attributes:
        start: The number of the stage.
        evaluated_at_once: How many of them an evaluation batch may have, where that is more than it has of images.
    """

    start: int
    evaluated_at_once: int

    def at(self, epoch: int, positions: NDArray[np.int64]) -> Tensor:
        """Those of the images at these positions (B,) in an epoch: (B, ...), float32."""
        ...


Served = Callable[[], Rows | None]  # asked before a batch: what serves it instead of images, None = nothing


class ResumableLoader(DataLoader[Batch]):
    """A training loader whose position is the epoch and the number of batches given out, whatever is prefetched.

    labels (N,): of the split. served: asked before each batch, so that a phase which begins in mid-epoch has
    what it needs from its first batch on. Lightning stores `state_dict` in its checkpoints and loads it before
    the first batch. A loaded position holds for its own epoch only, and once: the next epoch begins at its first
    batch. Skipped batches are not made. `len` is that of the whole epoch.
    """

    batch_sampler: DeviceBatchSampler

    def __init__(
        self,
        dataset: Dataset[Batch],
        *,
        shares: DeviceBatchSampler,
        loading: dict[str, Any],
        labels: Tensor | None = None,
        served: Served | None = None,
    ) -> None:
        super().__init__(dataset, batch_sampler=shares, **loading)
        self._labels, self._served = labels, served
        self._epoch = self._given = 0
        self._loaded: dict[str, int] | None = None

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]  # torch names its own iterator's class
        # a generator: workers begin at the first batch that is asked for, when Lightning has called set_epoch;
        # it makes the iterator of a first or a resumed epoch before
        self._epoch, self._given = self.batch_sampler.sampler.epoch, self._first()
        self._loaded = None
        while self._given < len(self):
            rows = self._served() if self._served is not None else None
            given = self._given
            yield from self._images() if rows is None else self._rows(rows)
            if given == self._given:  # nothing came, though something should: never for ever
                return

    def _images(self) -> Iterator[Batch]:
        """Batches of images, until the epoch ends or something serves them instead."""
        self.batch_sampler.first = self._given
        for batch in _plainly(super().__iter__()):
            self._given += 1
            yield batch
            if self._served is not None and self._served() is not None:
                return

    def _rows(self, rows: Rows) -> Iterator[Batch]:
        """Batches of what serves them, made here as no worker could be faster, until it is something else."""
        assert self._served is not None
        assert self._labels is not None
        self.batch_sampler.first = self._given
        for positions in self.batch_sampler.positions():
            index = torch.from_numpy(positions)
            self._given += 1
            yield Batch(rows.at(self._epoch, positions), self._labels[index], rows.start, index)
            if self._given < len(self) and self._served() is not rows:
                return

    def state_dict(self) -> dict[str, int]:
        """The same on all devices."""
        return self._loaded or {"epoch": self._epoch, "batches": self._given, **self.cut()}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self._loaded = dict(state_dict)

    def _first(self) -> int:
        """The batch to begin with."""
        state = self._loaded
        if state is None or state["epoch"] != self.batch_sampler.sampler.epoch:
            return 0
        self.check(state, epoch=state["epoch"], batches=state["batches"])
        return state["batches"]

    def sizes(self, numbers: range) -> dict[str, list[int]]:
        """How many images the device's batches of these numbers in the epoch have, by the batch's field."""
        return {"image": self._sizes[numbers.start : numbers.stop].tolist()}

    def size(self, number: int) -> int:
        """How many images the device's batch of this number in an epoch has."""
        return int(self._sizes[number])

    @cached_property
    def _sizes(self) -> NDArray[np.int64]:
        return self.batch_sampler.sizes()

    def cut(self) -> dict[str, int]:
        """What the number of batches counts."""
        shares = self.batch_sampler
        return {"images": len(shares.sampler), "batch_size": shares.batch_size, "world_size": shares.world_size}

    def check(self, state: Mapping[str, int], *, epoch: int, batches: int) -> None:
        """Raises UserError where a checkpoint of this place counts other batches than there are now."""
        cut = {name: state[name] for name in self.cut()}
        if cut != self.cut():
            raise UserError(
                f"the checkpoint was written inside epoch {epoch}, after {batches} batches of "
                f"{_said(cut)}, which cannot be found again in batches of {_said(self.cut())}; "
                "resume with the same data, batch_size and devices"
            )


class PlainLoader(DataLoader[Batch]):
    """Batches of the images at these positions, in this order; served: asked once a pass.

    labels (N,): of the whole split. A pass over what serves the images may have fewer batches than `len` says, as they
    may be larger.
    """

    def __init__(
        self,
        dataset: Dataset[Batch],
        *,
        positions: NDArray[np.int64],
        batch_size: int,
        loading: dict[str, Any],
        labels: Tensor,
        served: Served | None = None,
    ) -> None:
        self.positions = positions
        self._labels, self._served, self._size = labels, served, batch_size
        super().__init__(dataset, batch_sampler=_Cut(positions, batch_size), **loading)

    @property
    def labels(self) -> Tensor:
        """Of all its images (n,); none of them is read."""
        return self._labels[torch.from_numpy(self.positions)]

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]  # torch names its own iterator's class
        rows = self._served() if self._served is not None else None
        if rows is None:
            yield from _plainly(super().__iter__())
            return
        size = max(self._size, rows.evaluated_at_once)
        for begin in range(0, len(self.positions), size):
            positions = self.positions[begin : begin + size]
            index = torch.from_numpy(positions)
            yield Batch(rows.at(0, positions), self._labels[index], rows.start, index)


class _Cut:
    """Positions cut into batches."""

    def __init__(self, positions: NDArray[np.int64], batch_size: int) -> None:
        self.positions, self.batch_size = positions, batch_size
        self.sampler = positions  # Lightning asks a batch sampler for it, to see whether it shuffles

    def __iter__(self) -> Iterator[list[int]]:
        for begin in range(0, len(self.positions), self.batch_size):
            yield self.positions[begin : begin + self.batch_size].tolist()

    def __len__(self) -> int:
        return -(-len(self.positions) // self.batch_size)


def _plainly(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches; a worker's UserError without the trace that torch writes into its message."""
    try:
        yield from batches
    except UserError as error:
        raise UserError(str(error).rpartition("UserError: ")[2].strip()) from error


def _said(cut: dict[str, int]) -> str:
    return f"{cut['batch_size']} of {cut['images']} images on {cut['world_size']} device(s)"

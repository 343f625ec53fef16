"""How do images that lie in memory become batches?"""

from __future__ import annotations

from abc import ABC, abstractmethod
from difflib import get_close_matches
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Sampler, SequentialSampler

from headstart.data.order import EpochOrder, NoLoneImage
from headstart.data.pixels import normalised
from headstart.types import SPLITS, Batch, Pixels, UserError


class Labelled(NamedTuple):
    """The images of one split, as they were stored or drawn."""

    image: NDArray[np.uint8]  # (N, H, W) grey or (N, H, W, 3) RGB
    label: NDArray[np.int64]  # (N,)


def by_turns(split: Labelled) -> Labelled:
    """The same images with the classes taking turns, so that any first part holds all classes alike.

    `limit_val_batches` and `overfit_batches` look at the first batches only.
    """
    turn = np.zeros_like(split.label)
    for label in np.unique(split.label):
        turn[split.label == label] = np.arange((split.label == label).sum())
    order = np.lexsort((split.label, turn))
    return Labelled(split.image[order], split.label[order])


class Batches(Dataset[Batch]):
    """Batches by a list of positions, as torch's loader asks for them: one indexing, one normalisation."""

    def __init__(self, *, split: Labelled, pixels: Pixels) -> None:
        self.image = torch.from_numpy(split.image)
        self.label = torch.from_numpy(split.label)
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, position: int) -> Batch:
        batch = self.__getitems__([position])
        return Batch(batch.image[0], batch.label[0])

    def __getitems__(self, positions: list[int]) -> Batch:
        index = torch.tensor(positions)
        return Batch(normalised(self.image[index], self.pixels), self.label[index])


def as_it_is(batch: Batch) -> Batch:
    """The batch: `Batches` has made it already (a named function, as workers must be able to pickle it)."""
    return batch


class InMemory(LightningDataModule, ABC):
    """What is left to say is what the splits hold; the training order is a function of seed and epoch."""

    def __init__(
        self, *, class_names: tuple[str, ...], batch_size: int, num_workers: int, pixels: Pixels, seed: int
    ) -> None:
        super().__init__()
        self.class_names = class_names
        self.num_classes = len(class_names)
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.pixels = pixels
        self.seed = seed

    @abstractmethod
    def load(self) -> dict[str, Labelled]:
        """The images of train, val and test; called once, on every device's process, and the same on each."""

    @cached_property
    def splits(self) -> dict[str, Labelled]:
        """The stored images of train, val and test, the classes taking turns; made at the first look."""
        return {name: by_turns(split) for name, split in self.load().items()}

    @property
    def sizes(self) -> dict[str, int]:
        """Images in each split."""
        return {name: len(split.label) for name, split in self.splits.items()}

    def setup(self, stage: str) -> None:  # noqa: ARG002  # Lightning's signature; all splits are made at once
        _ = self.splits

    def train_dataloader(self) -> DataLoader[Batch]:
        data = Batches(split=self.splits["train"], pixels=self.pixels)
        sampler: Sampler[int] = EpochOrder(length=len(data), seed=self.seed, epoch=self._epoch())
        if getattr(self.trainer, "overfit_batches", 0):
            sampler = SequentialSampler(data)  # the same few images each epoch; Lightning sees only plain samplers
        return DataLoader(data, batch_sampler=NoLoneImage(sampler, self.batch_size, drop_last=False), **self._loading())

    def val_dataloader(self) -> DataLoader[Batch]:
        return self.plain_dataloader("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        return self.plain_dataloader("test")

    def plain_dataloader(self, split: str) -> DataLoader[Batch]:
        """A split in its own order: to look at the training images, too, each once and without chance.

        Raises UserError where there is no such split.
        """
        if split not in self.splits:
            close = get_close_matches(split, SPLITS, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise UserError(f"a split is one of {', '.join(SPLITS)}, got {split!r}{hint}")
        data = Batches(split=self.splits[split], pixels=self.pixels)
        # four times the batch: without gradients, a batch needs far less memory
        return DataLoader(data, batch_size=4 * self.batch_size, **self._loading())

    def _epoch(self) -> int:
        # workers fetch the first batches before Lightning calls set_epoch: a resumed run begins at its epoch
        return self.trainer.current_epoch if self.trainer is not None else 0

    def _loading(self) -> dict[str, Any]:
        return {
            "collate_fn": as_it_is,
            "num_workers": self.num_workers,
            "persistent_workers": self.num_workers > 0,
            # at each pass a loader draws a seed for its workers; from the global generator, one look more at
            # the data would change all random numbers after it
            "generator": torch.Generator().manual_seed(self.seed),
        }

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
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from headstart.data.augment import Augmentation
from headstart.data.chance import Chance
from headstart.data.loader import ResumableLoader
from headstart.data.order import EpochOrder, Shares, StoredOrder
from headstart.data.pixels import normalised, resized, standardised
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


class TrainingBatches(Dataset[Batch]):
    """Batches by a list of (epoch, position): in another epoch, chance makes another image of the same position."""

    def __init__(self, *, split: Labelled, pixels: Pixels, augment: Augmentation | None, seed: int) -> None:
        self.image = torch.from_numpy(split.image)
        self.label = torch.from_numpy(split.label)
        self.pixels = pixels
        self.augment = augment
        self.seed = seed

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, place: tuple[int, int]) -> Batch:
        batch = self.__getitems__([place])
        return Batch(batch.image[0], batch.label[0])

    def __getitems__(self, places: list[tuple[int, int]]) -> Batch:
        epoch, position = torch.tensor(places).unbind(1)
        image = resized(self.image[position], self.pixels)
        if self.augment is not None:
            chance = Chance(seed=self.seed, epoch=epoch.numpy(), position=position.numpy())
            image = _like(image, self.augment(image, chance), self.augment)
        return Batch(standardised(image, self.pixels), self.label[position])


def _like(given: Tensor, made: Tensor, augment: Augmentation) -> Tensor:
    """The augmented images, where they are what a backbone can take. Raises UserError."""
    if made.shape != given.shape or made.dtype != given.dtype:
        raise UserError(
            f"an augmentation must give back images of the shape and type that it gets, {tuple(given.shape)} of "
            f"{given.dtype}; {type(augment).__name__} made {tuple(made.shape)} of {made.dtype} of them"
        )
    return made


def as_it_is(batch: Batch) -> Batch:
    """The batch: the data set has made it already (a named function, as workers must be able to pickle it)."""
    return batch


class InMemory(LightningDataModule, ABC):
    """What is left to say is what the splits hold; the training order is a function of seed and epoch.

    On several devices, each has its share of train, val and test; batch_size is that of one device. augment
    changes training images only. Raises UserError where it cannot be called.
    """

    def __init__(
        self,
        *,
        class_names: tuple[str, ...],
        batch_size: int,
        num_workers: int,
        augment: Augmentation | None,
        pixels: Pixels,
        seed: int,
    ) -> None:
        super().__init__()
        if augment is not None and not callable(augment):
            raise UserError(
                f"augment must be null or a mapping with the _target_ of an augmentation, got {augment!r}; "
                "a file of conf/augment/ is chosen by augment@target.augment=affine"
            )
        self.class_names = class_names
        self.num_classes = len(class_names)
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.augment = augment
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
        """This device's batches of the epoch that Lightning says, all of them or those after a loaded position.

        Raises UserError where there are fewer images than devices.
        """
        rank, world_size = self._device()
        split = self.splits["train"]
        if len(split.label) < world_size:
            raise UserError(
                f"each device needs a training image at least, got {len(split.label)} images for {world_size} "
                f"devices; try trainer.devices={max(len(split.label), 1)}"
            )
        overfits = bool(getattr(self.trainer, "overfit_batches", 0))  # the same few images each epoch, as they are
        order = (StoredOrder if overfits else EpochOrder)(length=len(split.label), seed=self.seed)
        augment = None if overfits else self.augment
        return ResumableLoader(
            TrainingBatches(split=split, pixels=self.pixels, augment=augment, seed=self.seed),
            shares=Shares(order, batch_size=self.batch_size, rank=rank, world_size=world_size),
            loading=self._loading(),
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        """This device's images of val: over all devices, each image once."""
        return self._plain(self._share(self.splits["val"]))

    def test_dataloader(self) -> DataLoader[Batch]:
        """This device's images of test: over all devices, each image once."""
        return self._plain(self._share(self.splits["test"]))

    def plain_dataloader(self, split: str) -> DataLoader[Batch]:
        """A whole split in its own order, on each device: to look at the training images, too, each once and unchanged.

        Raises UserError where there is no such split.
        """
        if split not in self.splits:
            close = get_close_matches(split, SPLITS, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise UserError(f"a split is one of {', '.join(SPLITS)}, got {split!r}{hint}")
        return self._plain(self.splits[split])

    def _plain(self, split: Labelled) -> DataLoader[Batch]:
        # four times the batch: without gradients, a batch needs far less memory
        return DataLoader(Batches(split=split, pixels=self.pixels), batch_size=4 * self.batch_size, **self._loading())

    def _share(self, split: Labelled) -> Labelled:
        """Every image whose turn is this device's, none twice: shares may differ by an image."""
        rank, world_size = self._device()
        return Labelled(split.image[rank::world_size], split.label[rank::world_size])

    def _device(self) -> tuple[int, int]:
        """The rank of this process and the number of them. Raises UserError where Lightning would share out again."""
        if self.trainer is None:
            return 0, 1
        connector = self.trainer._accelerator_connector  # nothing public tells
        if self.trainer.world_size > 1 and connector.use_distributed_sampler:
            raise UserError(
                "the data shares itself out to the devices, and Lightning would do so once more: "
                "set trainer.use_distributed_sampler=false"
            )
        return self.trainer.global_rank, self.trainer.world_size

    def _loading(self) -> dict[str, Any]:
        return {
            "collate_fn": as_it_is,
            "num_workers": self.num_workers,
            "persistent_workers": self.num_workers > 0,
            # at each pass a loader draws a seed for its workers; from the global generator, one look more at
            # the data would change all random numbers after it
            "generator": torch.Generator().manual_seed(self.seed),
        }

"""Batches of a split by positions, as torch's loader asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from headstart.data.datasets.labelled_split import Labels, Split
from headstart.data.decoding.pixel_conversion import prepared, resized, standardised
from headstart.data.loading.image_seed import ImageRng
from headstart.data.transforms.augmentation import Augmentation
from headstart.types import Batch, Pixels, UserError

ImagePlace = tuple[int, int]  # (epoch, position): each epoch draws another view of the same position
VIEW_SEED = 2**32  # above all seeds of a run


class PlainBatches(Dataset[Batch]):
    """Batches by a list of positions, as torch's loader asks for them: one look at the split for all."""

    def __init__(self, *, split: Split, pixels: Pixels) -> None:
        self.split, self.pixels = split, pixels
        self.label = as_tensor(split.label)

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, position: int) -> Batch:
        batch = self.__getitems__([position])
        return Batch(batch.image[0], batch.label[0])

    def __getitems__(self, positions: list[int]) -> Batch:
        index = torch.tensor(positions)
        return Batch(prepared(self.split.at(index.numpy()), self.pixels), self.label[index], position=index)


class TrainingBatches(Dataset[Batch]):
    """Batches by a list of places; view: augments a second view of each image, in the batch's field of that name."""

    def __init__(
        self,
        *,
        split: Split,
        pixels: Pixels,
        augment: Augmentation | None,
        seed: int,
        view: Augmentation | None = None,
    ) -> None:
        self.split, self.pixels = split, pixels
        self.label = as_tensor(split.label)
        self.augment, self.view = augment, view
        self.seed = seed

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, place: ImagePlace) -> Batch:
        batch = self.__getitems__([place])
        return Batch(batch.image[0], batch.label[0])

    def __getitems__(self, places: Sequence[ImagePlace]) -> Batch:
        epoch, position = torch.tensor(places).unbind(1)
        position = position.contiguous()
        made = partial(
            training_batch,
            self.split.at(position.numpy()),
            self.label[position],
            epoch=epoch.numpy(),
            position=position.numpy(),
            pixels=self.pixels,
        )
        batch = made(augment=self.augment, seed=self.seed)
        # with random numbers of its own
        view = None if self.view is None else made(augment=self.view, seed=self.seed + VIEW_SEED).image
        return batch._replace(position=position, view=view)


def training_batch(
    stored: Tensor,
    label: Tensor,
    *,
    epoch: NDArray[np.int64],
    position: NDArray[np.int64],
    pixels: Pixels,
    augment: Augmentation | None,
    seed: int,
) -> Batch:
    """Stored images as the backbone wants them, augmented by the random numbers of each epoch and position (B,)."""
    if augment is None:
        return Batch(prepared(stored, pixels), label)
    image = resized(stored, pixels)
    image = _like(image, augment(image, ImageRng(seed=seed, epoch=epoch, position=position)), augment)
    return Batch(standardised(image, pixels), label)


def _like(original: Tensor, augmented: Tensor, augment: Augmentation) -> Tensor:
    """The augmented images, where they are what a backbone can take. Raises UserError."""
    if augmented.shape != original.shape or augmented.dtype != original.dtype:
        raise UserError(
            f"an augmentation must give back images of the shape and type that it gets, {tuple(original.shape)} of "
            f"{original.dtype}; {type(augment).__name__} made {tuple(augmented.shape)} of {augmented.dtype} of them"
        )
    return augmented


def as_tensor(label: Labels) -> Tensor:
    """Labels of a split; where they are hidden, so they are here."""
    return torch.from_numpy(label) if isinstance(label, np.ndarray) else label

"""Data sets whose images lie in memory."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from hashlib import blake2b
from typing import Literal, NamedTuple, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.data.dataset_settings import CorruptionSettings, LoadingSettings
from headstart.data.datasets.image_datamodule import ImageDataModule
from headstart.data.datasets.labelled_split import Split
from headstart.data.decoding.object_box import boxed_stack, check_box
from headstart.data.splits.interleaved_classes import by_turns
from headstart.data.transforms.corruptions.corruption_kinds import corrupted


class LabelledImages(NamedTuple):
    """The images of one split, as they were stored or drawn."""

    image: NDArray[np.uint8]  # (N, H, W) grey or (N, H, W, 3) RGB
    label: NDArray[np.int64]  # (N,)

    def at(self, positions: NDArray[np.int64]) -> Tensor:
        """The images at these positions."""
        return torch.from_numpy(self.image)[torch.from_numpy(positions)]

    def taken(self, order: NDArray[np.int64]) -> LabelledImages:
        """The images at these positions, in this order."""
        return LabelledImages(self.image[order], self.label[order])

    def contents(self) -> list[str]:
        """A digest of each image's shape and bytes."""
        shape = repr(self.image.shape[1:]).encode()
        return [blake2b(shape + pixels.tobytes(), digest_size=16).hexdigest() for pixels in self.image]


def as_corrupted(splits: Mapping[str, LabelledImages], settings: CorruptionSettings) -> dict[str, LabelledImages]:
    """The images of each split after the corruption that the settings name; as they are where they name none.

    Args:
        splits: Of a data set.
        settings: Of the same data set.

    Raises:
        UserError: The kind needs colour, and the images are grey.
    """
    kind, severity = settings["corruption"], settings["severity"]
    if kind is None:
        return dict(splits)
    return {
        name: images._replace(image=np.stack([corrupted(image, kind, severity) for image in images.image]))
        if len(images.image)
        else images
        for name, images in splits.items()
    }


class InMemory(ImageDataModule):
    """Images that are few or small enough to lie in memory, uint8.

    Args:
        class_names: As of ImageDataModule.
        sampler: The same.
        box: Pixels of the longer side of the object within the backbone's frame, as headstart.data.decoding.object_box
            draws it; None leaves images as they are.
        loading: As LoadingSettings says.

    Raises UserError where the box is larger than the frame.
    """

    def __init__(
        self,
        *,
        class_names: tuple[str, ...],
        sampler: Literal["balanced"] | None = None,
        box: int | None = None,
        **loading: Unpack[LoadingSettings],
    ) -> None:
        super().__init__(class_names=class_names, sampler=sampler, **loading)
        check_box(box, self.pixels.size)
        self.box = box

    @cached_property
    def splits(self) -> dict[str, Split]:
        """The images of train, val and test, the classes taking turns; made at the first look."""
        loaded = self.load()
        if self.box is not None:
            size = self.pixels.size
            loaded = {
                name: part._replace(image=boxed_stack(part.image, size=size, box=self.box))
                for name, part in loaded.items()
            }
        return {name: part.taken(by_turns(part.label, numbers=self.regression)) for name, part in loaded.items()}

    @abstractmethod
    def load(self) -> dict[str, LabelledImages]:
        """The images of train, val and test; called once, on every device's process, and the same on each."""

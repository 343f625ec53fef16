"""Data sets whose images lie in memory."""

from __future__ import annotations

from abc import abstractmethod
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.data.datasets.image_datamodule import ImageDataModule


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


class InMemory(ImageDataModule):
    """Images that are few or small enough to lie in memory, uint8."""

    @abstractmethod
    def load(self) -> dict[str, LabelledImages]:
        """The images of train, val and test; called once, on every device's process, and the same on each."""

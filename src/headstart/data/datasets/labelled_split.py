"""The images of one split with their labels: what every kind of data set gives."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

# (N,); of several labels an image (N, classes), 0 or 1; of numbers (N, columns)
Labels = NDArray[np.int64] | NDArray[np.float32]


class Split(Protocol):
    """The images of one split, each at its position; workers pickle it."""

    @property
    def label(self) -> Labels: ...

    def at(self, positions: NDArray[np.int64]) -> Tensor:
        """The images at these positions, uint8: (B, H, W) grey or (B, H, W, 3) RGB."""
        ...

    def taken(self, order: NDArray[np.int64]) -> Split:
        """The images at these positions, in this order, as a split of their own."""
        ...

    def contents(self) -> list[str]:
        """What determines each image, as 32 hex digits: its bytes and how they are read, not its place or its name."""
        ...

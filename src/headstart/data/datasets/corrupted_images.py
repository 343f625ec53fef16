"""Images of another data set after a corruption, to test a model on."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.data.datasets.image_datamodule import ImageDataModule
from headstart.data.datasets.labelled_split import Labels, Split
from headstart.data.datasets.whole_dataset import ALL
from headstart.data.transforms.corruptions.corruption_kinds import corrupted


class CorruptedSplit:
    """The images of a split after a corruption; each is always the same, whatever batch or process it is in.

    Args:
        split: The images as they are.
        kind: The corruption's name.
        severity: 1 to 5.
    """

    def __init__(self, split: Split, *, kind: str, severity: int) -> None:
        self._split, self._kind, self._severity = split, kind, severity

    @property
    def label(self) -> Labels:
        """Of the images as they are."""
        return self._split.label

    def at(self, positions: NDArray[np.int64]) -> Tensor:
        """The images at these positions, uint8: (B, H, W) grey or (B, H, W, 3) RGB."""
        images = self._split.at(positions).numpy()
        return torch.from_numpy(np.stack([corrupted(image, self._kind, self._severity) for image in images]))

    def taken(self, order: NDArray[np.int64]) -> CorruptedSplit:
        """The images at these positions, in this order."""
        return CorruptedSplit(self._split.taken(order), kind=self._kind, severity=self._severity)

    def contents(self) -> list[str]:
        """Of the images as they are."""
        return self._split.contents()


class Corrupted(ImageDataModule):
    """The images of one split of another data set after a corruption, as the split `test`; there is no other split.

    Args:
        data: The data set.
        split: Its split that is taken.
        kind: The corruption's name.
        severity: 1 to 5.
    """

    def __init__(self, data: ImageDataModule, *, split: str, kind: str, severity: int) -> None:
        loading = data.loading_settings()
        if not data.in_any_order:
            loading["num_workers"] = 0
        super().__init__(class_names=data.class_names, **loading)
        self.multi_label, self.in_any_order = data.multi_label, data.in_any_order
        self._data, self._chosen, self._kind, self._severity = data, split, kind, severity

    @cached_property
    def splits(self) -> dict[str, Split]:
        return self.load()

    def load(self) -> dict[str, Split]:
        self._data.setup("test")
        return {ALL: CorruptedSplit(self._data.splits[self._chosen], kind=self._kind, severity=self._severity)}

    def names(self, split: str) -> list[str]:
        """What each image is called in its own data set. Raises UserError where there is no such split."""
        self._split(split)
        return self._data.names(self._chosen)

"""Images of a data set whose labels nothing may read."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from headstart.data.datasets.image_datamodule import ImageDataModule
from headstart.data.datasets.labelled_split import Split


class HiddenLabelError(AttributeError):  # or hasattr, which torch and Lightning ask of what is in a batch, would raise
    """Somebody tries to read what training must not know."""


class HiddenLabels:
    """Stands where the labels of n images would be: it says how many they are; whatever else is asked of it raises."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> HiddenLabels:
        return HiddenLabels(len(range(self._count)[index]) if isinstance(index, slice) else len(index))

    def __getattr__(self, name: str) -> Any:
        raise HiddenLabelError(
            f"the target's labels are out of reach of training and of model selection (asked for label.{name})"
        )

    def __iter__(self) -> Any:
        return self.__getattr__("__iter__")

    def __array__(self, *_: Any) -> Any:
        return self.__getattr__("__array__")


class WithLabels:
    """A split whose labels are others than its own, or hidden."""

    def __init__(self, split: Split, label: Any) -> None:
        self._split, self.label = split, label

    def at(self, positions: NDArray[np.int64]) -> Tensor:
        return self._split.at(positions)

    def taken(self, order: NDArray[np.int64]) -> WithLabels:
        return WithLabels(self._split.taken(order), self.label[order])

    def contents(self) -> list[str]:
        return self._split.contents()


class Unlabelled(ImageDataModule):
    """The images of train and val of another data set, in an order that says nothing of their labels."""

    def __init__(self, data: ImageDataModule) -> None:
        super().__init__(class_names=data.class_names, **data.loading_settings())
        self._data = data

    @cached_property
    def splits(self) -> dict[str, Split]:
        return self.load()

    def load(self) -> dict[str, Split]:
        hidden: dict[str, Split] = {}
        for name in ("train", "val"):
            split = self._data.splits[name]
            count = len(split.label)
            order = np.random.default_rng(self.seed).permutation(count)  # as it is, classes take turns
            hidden[name] = WithLabels(split.taken(order), HiddenLabels(count))
        return hidden

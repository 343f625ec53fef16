"""Contracts of data modules, their loaders and their splits, and what stands in where one is not met.

A run needs a DataModule. Each other contract is an ability that headstart uses where a data module has it: all data
sets of headstart.data.datasets have them, a user's own module may lack them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeGuard, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from headstart.data.files.duplicate_files import Duplicate
from headstart.types import Batch


class DataModule(Protocol):
    """What every run asks of its data, beside the loaders that Lightning asks for.

    Attributes:
        class_names: Names of the classes, in the order of their numbers.
        num_classes: How many there are.
        sizes: Images in each of train, val and test.
    """

    class_names: tuple[str, ...]
    num_classes: int

    @property
    def sizes(self) -> Mapping[str, int]: ...

    def plain_dataloader(self, split: str) -> Iterable[Batch]:
        """All images of a split, unchanged, in its own order."""
        ...


@runtime_checkable
class NamedImages(Protocol):
    """Data whose images have names."""

    def names(self, split: str) -> Sequence[str]:
        """What each image of a split is called."""
        ...


class ImageContents(Protocol):
    """Data that say what determines each image, as `has_contents` tells; those of a stream have None in its place."""

    def contents(self, split: str) -> list[str]:
        """Of each image of a split, 32 hex digits that only the same image has."""
        ...


@runtime_checkable
class ServedImages(Protocol):
    """Data in whose place the feature cache may serve what is known of their images.

    Attributes:
        served: Asked with (split, augmented) what stands in for the next images; None where nothing does.
        augment: Random changes of training images; None where there are none.
    """

    served: Callable[..., Any] | None
    augment: Any

    def plain_dataloader(self, split: str) -> Iterable[Batch]:
        """All images of a split, unchanged, in its own order."""
        ...


@runtime_checkable
class MultiLabelImages(Protocol):
    """Data that say whether an image may have any number of the classes."""

    multi_label: bool


@runtime_checkable
class NumberImages(Protocol):
    """Data that say whether their labels are numbers (N, columns), and their class_names the columns."""

    regression: bool


@runtime_checkable
class PairedImages(Protocol):
    """Data whose training batches may come with a paired batch of other data."""

    paired: Any


@runtime_checkable
class FewLabelledImages(Protocol):
    """Data whose training batches may come with few target images that have labels."""

    labelled: Any


@runtime_checkable
class HiddenLabelImages(Protocol):
    """Data of a run that adapts: the target's images without their labels."""

    hidden: Any


@runtime_checkable
class ComparedImages(Protocol):
    """Data that compare their images with each other."""

    duplicates: Sequence[Duplicate]


@runtime_checkable
class StoredFiles(Protocol):
    """Data whose images lie in files, as far as these are of this machine."""

    def stored_files(self) -> Sequence[Path]:
        """The files, with a table of them; nothing is read."""
        ...


@runtime_checkable
class KnownLabels(Protocol):
    """A loader that knows the labels of all its images without reading one."""

    labels: Tensor


@runtime_checkable
class KnownBatchSizes(Protocol):
    """A loader that knows the sizes of batches that are still to come."""

    def sizes(self, numbers: range) -> dict[str, list[int]]:
        """Images in the device's batches of these numbers, by the batch's field."""
        ...


@runtime_checkable
class StoredSizes(Protocol):
    """A split that knows how large its images are before they are resized."""

    def extents(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Width and height of the images at these positions (B, 2), in pixels."""
        ...


def has_contents(data: object) -> TypeGuard[ImageContents]:
    """Whether the data say what determines each image."""
    return callable(getattr(data, "contents", None))


def is_multi_label(data: object) -> bool:
    """Whether an image of these data may have any number of the classes."""
    return isinstance(data, MultiLabelImages) and bool(data.multi_label)


def is_regression(data: object) -> bool:
    """Whether the labels of these data are numbers."""
    return isinstance(data, NumberImages) and bool(data.regression)


def image_names(data: object, split: str, images: int) -> list[str]:
    """What each image of a split is called; where the data do not say it, `split/number`."""
    if isinstance(data, NamedImages):
        return list(data.names(split))
    return [f"{split}/{number}" for number in range(images)]


def without_labels(data: Any) -> Any:
    """The target's images without labels where the run adapts, else the data themselves."""
    return data.hidden if isinstance(data, HiddenLabelImages) else data

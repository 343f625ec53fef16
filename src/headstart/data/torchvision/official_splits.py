"""Labels and images of torchvision's data sets, wherever their classes have them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from headstart.compat.torchvision_files import listed_files
from headstart.data.datasets.labelled_split import Labels
from headstart.data.decoding.image_decoding import Decoder
from headstart.data.files.lazy_split import DecodedSplit
from headstart.data.torchvision.dataset_names import OfficialDataset

if TYPE_CHECKING:
    from PIL.Image import Image


class OpenedImages(Protocol):
    """The images of one official split, each at its position; workers pickle it."""

    def __getitem__(self, position: int) -> Image: ...


@dataclass(frozen=True)
class ArrayImages:
    """Images in memory: (N, H, W) grey or (N, H, W, 3) RGB, uint8."""

    image: NDArray[np.uint8]

    def __getitem__(self, position: int) -> Image:
        from PIL.Image import fromarray

        return fromarray(self.image[position])


@dataclass(frozen=True)
class DatasetImages:
    """Images that torchvision's own class opens."""

    dataset: Any

    def __getitem__(self, position: int) -> Image:
        image: Image = self.dataset[position][0]
        return image


class OfficialImages(DecodedSplit):
    """The images of one split, made as the backbone wants them when they are asked for.

    Args:
        opened: The images of each official split.
        places: (official split, position in it) of each image.
        label: Labels of all images.
        decoder: What makes pixels of an image.
        cached_images: Number of images, from the first on, that stay in memory once they are decoded.
    """

    def __init__(
        self,
        opened: Mapping[str, OpenedImages],
        places: list[tuple[str, int]],
        label: Labels,
        *,
        decoder: Decoder,
        cached_images: int = 0,
    ) -> None:
        super().__init__(label, decoder=decoder, cached_images=cached_images)
        self.opened, self.places = opened, places

    def taken(self, order: NDArray[np.int64]) -> OfficialImages:
        """The images at these positions, in this order."""
        places = [self.places[position] for position in order.tolist()]
        cached_images = min(self._cache.count, len(places))
        return OfficialImages(self.opened, places, self.label[order], decoder=self.decoder, cached_images=cached_images)

    def contents(self) -> list[str]:
        """A digest of each image's mode, shape and values, and of how they become pixels."""
        how = repr(self.decoder).encode()

        def digest(position: int) -> str:
            image = self._open(position)
            shape = f"{image.mode} {image.size}".encode()
            return blake2b(how + shape + image.tobytes(), digest_size=16).hexdigest()

        return [digest(position) for position in range(len(self.places))]

    def extents(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Width and height of the images at these positions (B, 2), in pixels, before they are resized."""
        return np.asarray([self._open(at).size for at in positions.tolist()], np.int64)

    def _decoded(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        names = [f"{split}/{number:06}" for split, number in (self.places[at] for at in positions.tolist())]
        return np.stack(
            [self.decoder.of(self._open(at), name) for at, name in zip(positions.tolist(), names, strict=True)]
        )

    def _open(self, position: int) -> Image:
        split, number = self.places[position]
        return self.opened[split][number]


@dataclass(frozen=True)
class OfficialSplit:
    """One official split.

    Args:
        label: Class number of each image.
        files: Its files relative to root, with `/`; None where there are none.
        opened: The images, where there are no files.
    """

    label: NDArray[np.int64]
    files: tuple[str, ...] | None
    opened: OpenedImages | None


def official_split(
    dataset: Any, official: OfficialDataset, root: Path
) -> OfficialSplit:  # torchvision's sets share no interface
    """Labels and images of a data set of torchvision, wherever its class keeps them."""
    if (listed := listed_files(dataset)) is not None:
        files, labels = listed
        return OfficialSplit(np.asarray(labels, np.int64), _relative(files, root), None)
    if hasattr(dataset, "data"):
        label: NDArray[np.int64] = np.asarray(dataset.targets if hasattr(dataset, "targets") else dataset.labels)
        label = (label[:, 0] if label.ndim > 1 else label).astype(np.int64)  # QMNIST knows the writer, too
        image: NDArray[np.uint8] = np.asarray(dataset.data)
        if image.ndim > 3 and image.shape[1] == 3:  # SVHN and STL10: channels first
            image = image.transpose(0, 2, 3, 1)
        image = image.swapaxes(1, 2) if official.on_its_side else image
        return OfficialSplit(label, None, ArrayImages(np.ascontiguousarray(image)))
    if hasattr(dataset, "y"):  # Caltech101
        return OfficialSplit(np.asarray(dataset.y, np.int64), None, DatasetImages(dataset))
    return OfficialSplit(
        np.asarray([dataset[at][1] for at in range(len(dataset))], np.int64), None, DatasetImages(dataset)
    )  # PCAM


def _relative(paths: Iterable[str | Path], root: Path) -> tuple[str, ...]:
    return tuple(Path(path).relative_to(root).as_posix() for path in paths)


def official_class_names(dataset: Any, official: OfficialDataset, numbers: NDArray[np.int64]) -> tuple[str, ...]:
    """What the classes with these numbers are called; their numbers, where nobody says."""
    names = official.class_names or getattr(dataset, "classes", None) or getattr(dataset, "categories", None)
    return tuple(str(names[number]) if names else str(number) for number in numbers.tolist())

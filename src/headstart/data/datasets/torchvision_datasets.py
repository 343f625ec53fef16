"""One of torchvision's data sets, in its official splits."""

from __future__ import annotations

from collections.abc import Collection
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from headstart.data.dataset_settings import ImageSettings, check_names, check_none_left_out, labels_of, loading_of
from headstart.data.datasets.image_datamodule import ImageDataModule
from headstart.data.datasets.labelled_split import Split
from headstart.data.decoding.image_decoding import configured_decoder
from headstart.data.files.file_location import FolderStorage
from headstart.data.files.file_split import FileSplit
from headstart.data.files.lazy_split import cached_splits
from headstart.data.files.listed_images import numbered
from headstart.data.splits.class_division import divided
from headstart.data.torchvision.dataset_download import official_splits
from headstart.data.torchvision.dataset_names import official_of, variant_argument
from headstart.data.torchvision.official_splits import OfficialImages, official_class_names, official_split
from headstart.system.setting_paths import given_path


class TorchvisionDataset(ImageDataModule):
    """One of torchvision's data sets by its name, in its official splits.

    What they lack is taken from the others, class by class, as headstart.data.splits.class_division says.

    Args:
        name: Of torchvision's class.
        variant: Of the data set; None means the usual one.
        root: Folder of all data sets, as torchvision's own classes want it.
        download: Whether what is missing is downloaded.
        settings: As ImageSettings says.

    Raises UserError where there is no such data set or variant, its files are missing, or cannot be had.
    """

    def __init__(
        self,
        *,
        name: str,
        variant: str | int | None,
        root: str,
        download: bool,
        **settings: Unpack[ImageSettings],
    ) -> None:
        check_names(settings, ImageSettings, self)
        official = official_of(name)
        self.root = given_path(root, "root")
        variants = variant_argument(name, official, variant)
        datasets = official_splits(name, official, variants, self.root, download=download)
        self._official = {split: official_split(dataset, official, self.root) for split, dataset in datasets.items()}
        # a variant of EMNIST counts its classes from 1
        self._numbers = np.unique(np.concatenate([part.label for part in self._official.values()]))
        super().__init__(
            class_names=official_class_names(datasets["train"], official, self._numbers),
            sampler=settings["sampler"],
            **loading_of(settings),
        )
        self._settings = settings
        self.shots, self.val_shots = settings["shots"], settings["val_shots"]
        self.decoder = configured_decoder(self.pixels, settings)

    @property
    def given_splits(self) -> tuple[str, ...]:
        """The official splits that torchvision has; the others are drawn from them."""
        return tuple(self._official)

    def all_images(self, splits: Collection[str]) -> tuple[Split, list[str]]:
        """All images of these official splits, and their names; nothing is divided.

        Raises UserError where settings choose some of the images.
        """
        check_none_left_out(labels_of(self._settings))
        called = {split: self._called(split) for split in self._official if split in splits}
        names = [name for of in called.values() for name in of]
        places = [(split, number) for split, of in called.items() for number in range(len(of))]
        label = np.concatenate([np.searchsorted(self._numbers, self._official[split].label) for split in called])
        return self._split_of(names, places, label.astype(np.int64), 0), names

    def load(self) -> dict[str, Split]:
        called = {split: self._called(split) for split in self._official}
        place = {name: (split, number) for split, names in called.items() for number, name in enumerate(names)}
        parts = [self._of_class(label, called) for label in range(self.num_classes)]

        def split_of(names: list[str], label: NDArray[np.int64], cached: int) -> Split:
            return self._split_of(names, [place[name] for name in names], label, cached)

        return cached_splits(
            numbered(parts), decoder=self.decoder, cache_gib=self._settings["cache_gib"], make=split_of
        )

    def names(self, split: str) -> list[str]:
        """The path of each image, relative to the root, or its official split and number there.

        Raises UserError where there is no such split.
        """
        of = self._split(split)
        if isinstance(of, FileSplit):
            return list(of.names)
        assert isinstance(of, OfficialImages)
        return [f"{official}/{number:06}" for official, number in of.places]

    def _called(self, split: str) -> list[str]:
        part = self._official[split]
        return list(part.files) if part.files is not None else [f"{split}/{at:06}" for at in range(len(part.label))]

    def _of_class(self, label: int, called: dict[str, list[str]]) -> dict[str, list[str]]:
        given = {
            split: [called[split][at] for at in np.flatnonzero(part.label == self._numbers[label]).tolist()]
            for split, part in self._official.items()
        }
        return divided(self.class_names[label], given, self._settings)

    def _split_of(
        self, names: list[str], places: list[tuple[str, int]], label: NDArray[np.int64], cached: int
    ) -> Split:
        opened = {split: part.opened for split, part in self._official.items() if part.opened is not None}
        if not opened:
            return FileSplit(FolderStorage(self.root), names, label, decoder=self.decoder, cached_images=cached)
        return OfficialImages(opened, places, label, decoder=self.decoder, cached_images=cached)

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
from headstart.data.splits.chosen_classes import chosen_classes
from headstart.data.splits.class_division import divided_classes
from headstart.data.torchvision.dataset_download import official_splits
from headstart.data.torchvision.dataset_names import official_of, variant_argument
from headstart.data.torchvision.official_splits import OfficialImages, official_class_names, official_split
from headstart.system.files.setting_paths import given_path


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
        names = official_class_names(datasets["train"], official, self._numbers)
        self._classes = chosen_classes(settings["classes"], names)
        # of each official class the number that it has in this run, -1 where it is left out
        self._number = np.array([self._classes.number_of.get(name, -1) for name in names], np.int64)
        super().__init__(
            class_names=self._classes.names,
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
        label_of = {split: self._label(split) for split in self._official if split in splits}
        places = [(split, at) for split, label in label_of.items() for at in np.flatnonzero(label >= 0).tolist()]
        called = {split: self._called(split) for split in label_of}
        names = [called[split][at] for split, at in places]
        label = np.concatenate([label[label >= 0] for label in label_of.values()])
        return self._split_of(names, places, label, 0), names

    def load(self) -> dict[str, Split]:
        called = {split: self._called(split) for split in self._official}
        place = {name: (split, number) for split, names in called.items() for number, name in enumerate(names)}
        listed = {
            split: {
                name: [called[split][at] for at in np.flatnonzero(self._label(split) == number).tolist()]
                for number, name in enumerate(self.class_names)
            }
            for split in self._official
        }
        parts = divided_classes(listed, self._settings)

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

    def _label(self, split: str) -> NDArray[np.int64]:
        """The class of each image of an official split, -1 where it is left out."""
        return self._number[np.searchsorted(self._numbers, self._official[split].label)]

    def _called(self, split: str) -> list[str]:
        part = self._official[split]
        return list(part.files) if part.files is not None else [f"{split}/{at:06}" for at in range(len(part.label))]

    def _split_of(
        self, names: list[str], places: list[tuple[str, int]], label: NDArray[np.int64], cached: int
    ) -> Split:
        opened = {split: part.opened for split, part in self._official.items() if part.opened is not None}
        if not opened:
            return FileSplit(FolderStorage(self.root), names, label, decoder=self.decoder, cached_images=cached)
        return OfficialImages(opened, places, label, decoder=self.decoder, cached_images=cached)

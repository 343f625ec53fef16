"""Division of images with several labels into training, validation and test images."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.data.dataset_settings import SplitSettings
from headstart.data.splits.chosen_classes import ChosenClasses
from headstart.data.splits.class_division import shuffled
from headstart.data.splits.labelled_files import LabelledFiles
from headstart.system.printing.name_listing import first_few
from headstart.types import SPLITS, UserError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MultiLabelFiles(LabelledFiles):
    """Files of which each has any number of the classes.

    Args:
        class_names: Names of the classes.
        labels: Split -> file -> its classes, as places in class_names; `train` alone where no splits are given.
    """

    class_names: tuple[str, ...]
    labels: dict[str, dict[str, frozenset[int]]]

    def chosen(self, classes: ChosenClasses) -> MultiLabelFiles:
        """The same files with the classes that are taken; a file that has none of them stays, without a label.

        Args:
            classes: What is taken of class_names.
        """
        number_of = classes.number_of
        of_place = {at: number_of[name] for at, name in enumerate(self.class_names) if name in number_of}
        labels = {
            split: {file: frozenset(of_place[at] for at in places if at in of_place) for file, places in of.items()}
            for split, of in self.labels.items()
        }
        return MultiLabelFiles(classes.names, labels)

    def rows(self, names: Sequence[str]) -> NDArray[np.float32]:
        """Of each file which classes it has: (N, classes), 0 or 1."""
        of_all = {name: places for of_split in self.labels.values() for name, places in of_split.items()}
        label = np.zeros((len(names), len(self.class_names)), np.float32)
        for row, name in zip(label, names, strict=True):
            row[list(of_all[name])] = 1
        return label

    def strata(self, names: Sequence[str]) -> NDArray[np.bool_]:
        """Which classes each file has: (N, classes)."""
        return self.rows(names) > 0

    def _chosen(self, splits: dict[str, list[str]], settings: SplitSettings) -> dict[str, list[str]]:
        """So many images of each class at least as `shots` says, the same of val by val_shots; 0 leaves val empty.

        They are chosen in rounds of one for each class that lacks it, the rarest first; 5 shots of a seed are among
        its 10.
        """
        shots, val_shots, fraction = settings["shots"], settings["val_shots"], settings["fraction"]
        key = f"seed {settings['seed']}"
        train, val = splits["train"], splits["val"]
        if shots is not None:
            train = self._shots(train, shots, key, split="train")
        elif fraction is not None:
            train = self._first(train, fraction, key)
        if val_shots is not None:
            val = self._shots(val, val_shots, f"val, {key}", split="val")
        return splits | {"train": train, "val": val}

    def _shots(self, names: list[str], shots: int, key: str, *, split: str) -> list[str]:
        """So many images of each class at least. Raises UserError where a class has fewer."""
        order = shuffled(names, key)
        label = self.rows(order) > 0
        counts = label.sum(axis=0)
        if (counts < shots).any():
            short = [f"{self.class_names[at]} has {counts[at]}" for at in np.flatnonzero(counts < shots).tolist()]
            setting, kind = ("shots", "training") if split == "train" else ("val_shots", "val")
            raise UserError(
                f"{setting}={shots} needs so many {kind} images of each class: {first_few(short)}; take fewer "
                f"{setting}, or fewer classes"
            )
        taken = np.zeros(len(order), bool)
        for wanted in range(1, shots + 1):
            for number in np.argsort(counts, kind="stable").tolist():
                if label[taken, number].sum() < wanted:
                    taken[np.flatnonzero(label[:, number] & ~taken)[0]] = True
        return [name for name, is_taken in zip(order, taken, strict=True) if is_taken]

    def _check_sizes(self, splits: dict[str, list[str]], *, may_lack_val: bool) -> None:
        """Raise UserError where a class has no image to train on, or a split has none; warn of other absent classes."""
        counts = {split: self.rows(names).sum(axis=0) for split, names in splits.items()}
        for split in ("train", "test") if may_lack_val else SPLITS:
            absent = [self.class_names[at] for at in np.flatnonzero(counts[split] == 0).tolist()]
            if not splits[split] or (split == "train" and absent):
                sizes = ", ".join(f"{len(names)} in {name_of_split}" for name_of_split, names in splits.items())
                lacking = f"no image of {first_few(absent)}" if splits[split] else "no image"
                raise UserError(
                    f"{split} has {lacking} ({sizes}); add images, leave such classes out, or take more images "
                    "(shots, fraction)"
                )
            if absent:
                log.warning("%s has no image of %s: its figures are means over the others", split, first_few(absent))


def leading(label: NDArray[np.float32]) -> NDArray[np.int64]:
    """The rarest class of each image; of one that has none, the number of classes: (N, classes) -> (N,)."""
    counts = label.sum(axis=0)
    rarity = np.where(label > 0, counts, np.inf)
    rarest: NDArray[np.int64] = np.where(label.any(axis=1), rarity.argmin(axis=1), label.shape[1]).astype(np.int64)
    return rarest

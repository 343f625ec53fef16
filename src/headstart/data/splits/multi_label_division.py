"""Division of images with several labels into training, validation and test images."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from headstart.data.dataset_settings import SplitSettings
from headstart.data.splits.chosen_classes import ChosenClasses
from headstart.data.splits.class_division import check_split_settings, drawn, shuffled
from headstart.data.splits.image_copies import NO_COPIES, Copies, together, without_crossing
from headstart.data.splits.image_groups import Groups, cut_groups
from headstart.data.splits.stratification import stratified, stratified_order
from headstart.system.name_listing import first_few
from headstart.types import SPLITS, UserError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MultiLabelFiles:
    """Files of which each has any number of the classes.

    Args:
        class_names: Names of the classes.
        labels: Split -> file -> its classes, as places in class_names; `train` alone where no splits are given.
    """

    class_names: tuple[str, ...]
    labels: dict[str, dict[str, frozenset[int]]]

    def files(self) -> dict[str, list[str]]:
        """Split -> its files."""
        return {split: list(of_split) for split, of_split in self.labels.items()}

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

    def divided(
        self,
        readable: Collection[str],
        settings: SplitSettings,
        *,
        groups: Groups | None = None,
        copies: Copies = NO_COPIES,
    ) -> dict[str, list[str]]:
        """The files for train, val and test, each sorted, of those that are readable.

        As class_division.divided, but for all classes together: what is missing is cut off by iterative
        stratification. So many images of each class at least as `shots` says, chosen in rounds of one for each class
        that lacks it, the rarest first; 5 shots of a seed are among its 10. The same of val by val_shots, where 0
        leaves it empty. A fraction is a first part of a stratified order.

        Args:
            readable: The files that can be read.
            settings: Shares, shots, folds and seed.
            groups: Files that must stay in one split.
            copies: Which files are copies of one image.

        Raises UserError where a class has no image to train on, or fewer than shots, or a split has none; a class
        that val or test lacks is a warning.
        """
        check_split_settings(settings)
        shots, val_shots, fraction = settings["shots"], settings["val_shots"], settings["fraction"]
        there = {split: [name for name in files if name in readable] for split, files in self.files().items()}
        key = f"seed {settings['seed']}"
        cut = (
            partial(self._cut, copies=copies)
            if groups is None
            else partial(cut_groups, label=self._places(), groups=groups)
        )
        splits = without_crossing(drawn(there, cut, settings), copies)
        train, val, test = splits["train"], splits["val"], splits["test"]
        if shots is not None:
            train = self._shots(train, shots, key, split="train")
        elif fraction is not None:
            order = stratified_order(train, self.rows(train) > 0, key)
            train = [train[at] for at in order[: max(1, round(fraction * len(train)))]]
        if val_shots is not None:
            val = self._shots(val, val_shots, f"val, {key}", split="val")
        splits = {"train": sorted(train), "val": sorted(val), "test": sorted(test)}
        self._check(splits, may_lack_val=val_shots == 0)
        return splits

    def _places(self) -> dict[str, list[int]]:
        return {name: sorted(places) for of_split in self.labels.values() for name, places in of_split.items()}

    def _cut(
        self, names: list[str], shares: Sequence[float], key: str, _: Sequence[int], *, copies: Copies
    ) -> list[list[str]]:
        parts = stratified(names, self.rows(names) > 0, shares, key)
        return together([[names[at] for at in part] for part in parts], copies)

    def _shots(self, names: list[str], shots: int, key: str, *, split: str) -> list[str]:
        """So many images of each class at least. Raises UserError where a class has fewer."""
        order = shuffled(names, key)
        label = self.rows(order) > 0
        there = label.sum(axis=0)
        if (there < shots).any():
            short = [f"{self.class_names[at]} has {there[at]}" for at in np.flatnonzero(there < shots).tolist()]
            setting, kind = ("shots", "training") if split == "train" else ("val_shots", "val")
            raise UserError(
                f"{setting}={shots} needs so many {kind} images of each class: {first_few(short)}; take fewer "
                f"{setting}, or fewer classes"
            )
        taken = np.zeros(len(order), bool)
        for wanted in range(1, shots + 1):
            for number in np.argsort(there, kind="stable").tolist():
                if label[taken, number].sum() < wanted:
                    taken[np.flatnonzero(label[:, number] & ~taken)[0]] = True
        return [name for name, is_taken in zip(order, taken, strict=True) if is_taken]

    def _check(self, splits: dict[str, list[str]], *, may_lack_val: bool) -> None:
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

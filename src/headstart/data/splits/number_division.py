"""Division of images with numbers as targets into training, validation and test images, stratified by quantiles."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from headstart.data.dataset_settings import SplitSettings
from headstart.data.splits.class_division import check_split_settings, drawn
from headstart.data.splits.image_copies import NO_COPIES, Copies, together, without_crossing
from headstart.data.splits.image_groups import Groups, cut_groups
from headstart.data.splits.stratification import stratified, stratified_order
from headstart.types import UserError

QUANTILES, LEAST = 10, 10  # parts of a column's range, and images of a part


def quantile_bins(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Which part of the range each number lies in (N,), from 0: parts of equally many numbers, equal ones in one.

    Up to 10 parts, of about 10 numbers at least. values (N,).
    """
    count = max(1, min(QUANTILES, len(values) // LEAST))
    if not len(values):
        return np.zeros(0, np.int64)
    edges = np.unique(np.quantile(values, np.arange(1, count) / count))
    _, bins = np.unique(np.searchsorted(edges, values, side="right"), return_inverse=True)  # none of them empty
    return bins.astype(np.int64)


def in_quantiles(numbers: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Of each column's parts, which one an image lies in: numbers (N, T) -> (N, parts of all columns)."""
    columns = [quantile_bins(column) for column in numbers.T]
    return np.concatenate([np.eye(int(bins.max(initial=0)) + 1, dtype=bool)[bins] for bins in columns], axis=1)


@dataclass(frozen=True)
class NumberFiles:
    """Files with one number or several each.

    Args:
        class_names: Names of the columns.
        labels: Split -> file -> its numbers; `train` alone where no splits are given.
    """

    class_names: tuple[str, ...]
    labels: dict[str, dict[str, tuple[float, ...]]]

    def files(self) -> dict[str, list[str]]:
        """Split -> its files."""
        return {split: list(of_split) for split, of_split in self.labels.items()}

    def rows(self, names: Sequence[str]) -> NDArray[np.float32]:
        """The numbers of each file (N, columns)."""
        of_all = {name: numbers for of_split in self.labels.values() for name, numbers in of_split.items()}
        return np.array([of_all[name] for name in names], np.float32).reshape(len(names), len(self.class_names))

    def texts(self) -> dict[str, str]:
        """File -> its numbers with | between them."""
        return {
            name: "|".join(f"{number:g}" for number in numbers)
            for of_split in self.labels.values()
            for name, numbers in of_split.items()
        }

    def check(self, settings: SplitSettings) -> None:
        """Raise UserError where settings count images of each class."""
        for setting, count in (("shots", settings["shots"]), ("val_shots", settings["val_shots"])):
            if count:
                raise UserError(
                    f"{setting}={count} counts images of each class, and the targets are numbers "
                    f"({', '.join(self.class_names)}); try fraction=0.1 for fewer training images"
                )

    def divided(
        self,
        readable: Collection[str],
        settings: SplitSettings,
        *,
        groups: Groups | None = None,
        copies: Copies = NO_COPIES,
    ) -> dict[str, list[str]]:
        """The files for train, val and test, each sorted, of those that are readable.

        As class_division.divided, but what is missing is cut off by iterative stratification of the quantiles of all
        columns, so that each split has low and high numbers. A fraction is a first part of a stratified order;
        val_shots=0 leaves val empty.

        Args:
            readable: The files that can be read.
            settings: Shares, folds and seed.
            groups: Files that must stay in one split.
            copies: Which files are copies of one image.

        Raises UserError where a split has no image, or settings count images of each class.
        """
        check_split_settings(settings)
        self.check(settings)
        there = {split: [name for name in files if name in readable] for split, files in self.files().items()}
        key, fraction = f"seed {settings['seed']}", settings["fraction"]
        every = [name for files in there.values() for name in files]
        rows = in_quantiles(self.rows(every))
        label = {name: np.flatnonzero(row).tolist() for name, row in zip(every, rows, strict=True)}
        cut = partial(self._cut, copies=copies) if groups is None else partial(cut_groups, label=label, groups=groups)
        splits = without_crossing(drawn(there, cut, settings), copies)
        train = splits["train"]
        if fraction is not None:
            order = stratified_order(train, in_quantiles(self.rows(train)), key)
            train = [train[at] for at in order[: max(1, round(fraction * len(train)))]]
        val = [] if settings["val_shots"] == 0 else splits["val"]
        splits = {"train": sorted(train), "val": sorted(val), "test": sorted(splits["test"])}
        needed = [split for split in splits if split != "val" or settings["val_shots"] != 0]
        if lacking := [split for split in needed if not splits[split]]:
            sizes = ", ".join(f"{len(names)} in {split}" for split, names in splits.items())
            raise UserError(f"{lacking[0]} has no image ({sizes}); add images, or take more of them (fraction)")
        return splits

    def _cut(
        self, names: list[str], shares: Sequence[float], key: str, _: Sequence[int], *, copies: Copies
    ) -> list[list[str]]:
        parts = stratified(names, in_quantiles(self.rows(names)), shares, key)
        return together([[names[at] for at in part] for part in parts], copies)

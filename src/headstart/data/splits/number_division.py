"""Division of images with numbers as targets into training, validation and test images, stratified by quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.data.dataset_settings import SplitSettings
from headstart.data.splits.labelled_files import LabelledFiles
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
class NumberFiles(LabelledFiles):
    """Files with one number or several each.

    Args:
        class_names: Names of the columns.
        labels: Split -> file -> its numbers; `train` alone where no splits are given.
    """

    class_names: tuple[str, ...]
    labels: dict[str, dict[str, tuple[float, ...]]]

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

    def strata(self, names: Sequence[str]) -> NDArray[np.bool_]:
        """The quantiles of all columns, so that each split has low and high numbers: (N, parts of all columns)."""
        return in_quantiles(self.rows(names))

    def _chosen(self, splits: dict[str, list[str]], settings: SplitSettings) -> dict[str, list[str]]:
        """As `fraction` says; val_shots=0 leaves val empty."""
        train, fraction = splits["train"], settings["fraction"]
        if fraction is not None:
            train = self._first(train, fraction, f"seed {settings['seed']}")
        return splits | {"train": train, "val": [] if settings["val_shots"] == 0 else splits["val"]}

    def _check_sizes(self, splits: dict[str, list[str]], *, may_lack_val: bool) -> None:
        needed = [split for split in splits if split != "val" or not may_lack_val]
        if lacking := [split for split in needed if not splits[split]]:
            sizes = ", ".join(f"{len(names)} in {split}" for split, names in splits.items())
            raise UserError(f"{lacking[0]} has no image ({sizes}); add images, or take more of them (fraction)")

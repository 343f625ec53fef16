"""Division of files whose labels are rows, of several classes or of numbers, into training, validation and test."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.data.dataset_settings import SplitSettings
from headstart.data.splits.class_division import check_split_settings, drawn
from headstart.data.splits.image_copies import NO_COPIES, Copies, together, without_crossing
from headstart.data.splits.image_groups import Groups, cut_groups
from headstart.data.splits.stratification import stratified, stratified_order


class LabelledFiles(ABC):
    """Files with a row of labels each.

    Args:
        labels: Split -> file -> its labels; `train` alone where no splits are given.
    """

    labels: Mapping[str, Mapping[str, Any]]

    def files(self) -> dict[str, list[str]]:
        """Split -> its files."""
        return {split: list(of_split) for split, of_split in self.labels.items()}

    def divided(
        self,
        readable: Collection[str],
        settings: SplitSettings,
        *,
        groups: Groups | None = None,
        copies: Copies = NO_COPIES,
    ) -> dict[str, list[str]]:
        """The files for train, val and test, each sorted, of those that are readable.

        As class_division.divided, but what is missing is cut off by iterative stratification of all strata together. A
        fraction is a first part of a stratified order.

        Args:
            readable: The files that can be read.
            settings: Shares, shots, folds and seed.
            groups: Files that must stay in one split.
            copies: Which files are copies of one image.

        Raises UserError where a split has no image, or as the kind of labels says.
        """
        check_split_settings(settings)
        self.check(settings)
        readable_files = {split: [name for name in names if name in readable] for split, names in self.files().items()}
        if groups is None:
            cut = partial(self._cut, copies=copies)
        else:
            every = [name for names in readable_files.values() for name in names]
            rows = zip(every, self.strata(every), strict=True)
            label = {name: np.flatnonzero(row).tolist() for name, row in rows}
            cut = partial(cut_groups, label=label, groups=groups)
        splits = self._chosen(without_crossing(drawn(readable_files, cut, settings), copies), settings)
        splits = {split: sorted(splits[split]) for split in ("train", "val", "test")}
        self._check_sizes(splits, may_lack_val=settings["val_shots"] == 0)
        return splits

    def check(self, settings: SplitSettings) -> None:  # noqa: B027 - a kind of labels may take all settings
        """Raise UserError where settings do not go with the labels."""

    @abstractmethod
    def strata(self, names: Sequence[str]) -> NDArray[np.bool_]:
        """Which strata each file lies in: (N, strata)."""

    @abstractmethod
    def _chosen(self, splits: dict[str, list[str]], settings: SplitSettings) -> dict[str, list[str]]:
        """Of drawn splits what shots, val_shots and fraction leave."""

    @abstractmethod
    def _check_sizes(self, splits: dict[str, list[str]], *, may_lack_val: bool) -> None:
        """Raise UserError where a split lacks images."""

    def _first(self, names: list[str], fraction: float, key: str) -> list[str]:
        """The first part of a stratified order."""
        order = stratified_order(names, self.strata(names), key)
        return [names[at] for at in order[: max(1, round(fraction * len(names)))]]

    def _cut(
        self, names: list[str], shares: Sequence[float], key: str, _: Sequence[int], *, copies: Copies
    ) -> list[list[str]]:
        parts = stratified(names, self.strata(names), shares, key)
        return together([[names[at] for at in part] for part in parts], copies)

"""All images of a data set as one split, to evaluate a model on."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

import numpy as np

from headstart.data.datasets.image_datamodule import ImageDataModule
from headstart.data.datasets.labelled_split import Split
from headstart.data.splits.interleaved_classes import by_turns
from headstart.types import SPLITS, UserError

ALL = "test"  # the split that holds all images


class Whole(ImageDataModule):
    """Every image of another data set, in whichever split it lies, as the split `test`; there is no other split.

    Args:
        data: The data set. It needs neither all splits nor all classes in each.
        splits: Those of its own splits whose images are taken.

    Raises UserError, at the first look, where the data set leaves images out by its settings.
    """

    def __init__(self, data: ImageDataModule, *, splits: Collection[str] = SPLITS) -> None:
        loading = data.loading_settings()
        if not data.in_any_order:
            loading["num_workers"] = 0
        super().__init__(class_names=data.class_names, **loading)
        self.multi_label, self.regression = data.multi_label, data.regression
        if not data.in_any_order:  # a stream has no contents
            self.contents = None  # type: ignore[assignment, method-assign]
        self._data, self._chosen = data, splits
        self._names: list[str] = []

    @cached_property
    def splits(self) -> dict[str, Split]:
        return self.load()

    def load(self) -> dict[str, Split]:
        split, names = self._data.all_images(self._chosen)
        if not names:
            raise UserError(f"images are needed to evaluate on, got none in {type(self._data).__name__}")
        order = by_turns(split.label, numbers=self.regression) if self._data.in_any_order else np.arange(len(names))
        self._names = [names[place] for place in order.tolist()]
        return {ALL: split.taken(order)}

    def names(self, split: str) -> list[str]:
        """What each image is called in its own data set. Raises UserError where there is no such split."""
        self._split(split)
        return list(self._names)

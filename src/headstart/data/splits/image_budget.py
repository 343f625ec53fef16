"""A fixed number of training and validation images, drawn from a data set by the seed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from headstart.data.datasets.image_datamodule import ImageDataModule
from headstart.data.datasets.joined_splits import JoinedSplit
from headstart.data.datasets.labelled_split import Labels, Split
from headstart.data.datasets.webdataset import WebDataset
from headstart.data.splits.interleaved_classes import by_turns
from headstart.types import UserError

log = logging.getLogger(__name__)


class ImageBudget(ImageDataModule):
    """So many images of another data set's train and of its val, by the seed, and the whole of its test.

    A seed's 80 images are among its 800. The draw does not look at classes, but for this: the first image of each class
    comes before all others, so that none is without one.

    Args:
        data: The data set; no stream.
        train: Training images, at most as many as there are.
        val: Val images, the same.
        merged: Whether train holds both draws, and val, which then decides nothing, other images as far as there are.

    Raises UserError where the images cannot be drawn, or there are more classes than training images.
    """

    def __init__(self, *, data: Any, train: Annotated[int, Ge(1)], val: Annotated[int, Ge(1)], merged: bool) -> None:
        if not isinstance(data, ImageDataModule) or isinstance(data, WebDataset):
            raise UserError(
                f"{train + val} images can be drawn from a headstart.data.datasets.image_datamodule.ImageDataModule "
                f"that is no stream, got "
                f"{type(data).__name__}; try data@target=image_folder"
            )
        if not (data.multi_label or data.regression) and train < data.num_classes:
            raise UserError(
                f"each of {data.num_classes} classes needs a training image, got {train} images; draw more of them"
            )
        super().__init__(class_names=data.class_names, sampler=data.sampler, **data.loading_settings())
        self.multi_label, self.regression = data.multi_label, data.regression
        self._data, self._counts, self._merged = data, {"train": train, "val": val}, merged
        self._names: dict[str, list[str]] = {}

    @cached_property
    def splits(self) -> dict[str, Split]:
        return dict(self.load())

    def load(self) -> dict[str, Split]:
        of = self._data
        whole = {split: of.splits[split] for split in self._counts}
        named = {split: of.names(split) for split in self._counts}
        order = {
            split: drawing_order(named[split], whole[split].label, f"seed {self.seed}/draw", classes_first=not at)
            for at, split in enumerate(self._counts)
        }
        drawn = {split: order[split][:count] for split, count in self._counts.items()}
        places = {split: [(split, drawn[split])] for split in drawn}
        if self._merged:
            places["train"] += places["val"]
            places["val"] = [("val", order["val"][-self._counts["val"] :])]
        self.duplicates = of.duplicates
        self._tell({split: len(label) for split, label in order.items()})
        splits: dict[str, Split] = {"test": of.splits["test"]}
        for split, parts in places.items():
            joined = JoinedSplit([whole[origin].taken(chosen) for origin, chosen in parts])
            turns = by_turns(joined.label)
            splits[split] = joined.taken(turns)
            names = [named[origin][position] for origin, chosen in parts for position in chosen.tolist()]
            self._names[split] = [names[turn] for turn in turns.tolist()]
        return splits

    def names(self, split: str) -> list[str]:
        """What each image of a split is called in its own data. Raises UserError where there is no such split."""
        self._split(split)
        return self._data.names(split) if split == "test" else self._names[split]

    def _tell(self, sizes: dict[str, int]) -> None:
        shown = ", ".join(f"{min(n, sizes[split]):,} of {sizes[split]:,} {split}" for split, n in self._counts.items())
        log.info("drawn by seed %d: %s images%s", self.seed, shown, ", all to train on" if self._merged else "")
        for split, wanted in self._counts.items():
            if sizes[split] < wanted:
                log.info("%s has fewer than %d images, so all of them are taken", split, wanted)
        if self._merged and (twice := min(self._counts["val"], 2 * self._counts["val"] - sizes["val"])) > 0:
            log.info("val has no %d others: %d of its images are also trained on", self._counts["val"], twice)


def drawing_order(names: Sequence[str], label: Labels, key: str, *, classes_first: bool) -> NDArray[np.int64]:
    """All positions by the hash of key and name; classes_first: of each class one image before all others.

    names (N,), label (N,). Of several labels an image, (N, classes), no class comes first.
    """
    hashes = [sha256(f"{key}/{name}".encode()).digest() for name in names]  # no version of a library can change it
    order = np.array(sorted(range(len(names)), key=hashes.__getitem__), np.int64)
    if not classes_first or label.ndim > 1:
        return order
    _, firsts = np.unique(label[order], return_index=True)
    is_first = np.zeros(len(order), bool)
    is_first[firsts] = True
    return np.concatenate([order[is_first], order[~is_first]])

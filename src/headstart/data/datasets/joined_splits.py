"""Several splits as one, their images one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.data.datasets.labelled_split import Labels, Split


class JoinedSplit:
    """The images of several splits, one after the other, as one."""

    def __init__(self, splits: Sequence[Split], order: NDArray[np.int64] | None = None) -> None:
        self._splits = splits
        counts = [len(split.label) for split in splits]
        self._order = np.arange(sum(counts)) if order is None else order  # (N,) -> position in all of them
        self._begins = np.cumsum([0, *counts])

    @cached_property
    def label(self) -> Labels:
        label: Labels = np.concatenate([split.label for split in self._splits])[self._order]
        return label

    def at(self, positions: NDArray[np.int64]) -> Tensor:
        places = self._order[positions]
        of = np.searchsorted(self._begins, places, side="right") - 1
        parts = [(of == number, split) for number, split in enumerate(self._splits) if (of == number).any()]
        begins = self._begins[of]
        images = [(mine, split.at((places - begins)[mine])) for mine, split in parts]
        if len(images) == 1:
            return images[0][1]
        image_of_all = images[0][1].new_empty((len(positions), *images[0][1].shape[1:]))
        for mine, image in images:
            image_of_all[torch.from_numpy(mine)] = image
        return image_of_all

    def taken(self, order: NDArray[np.int64]) -> JoinedSplit:
        return JoinedSplit(self._splits, self._order[order])

    def contents(self) -> list[str]:
        everything = [content for split in self._splits for content in split.contents()]
        return [everything[place] for place in self._order.tolist()]

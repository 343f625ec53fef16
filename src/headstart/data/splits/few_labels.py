"""A few labelled training images of a data set whose other images have no labels."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from headstart.data.datasets.image_datamodule import ImageDataModule
from headstart.data.datasets.labelled_split import Labels, Split
from headstart.data.splits.class_division import shuffled
from headstart.data.splits.class_sets import places_of
from headstart.data.splits.hidden_labels import WithLabels
from headstart.types import UserError


class FewLabels(ImageDataModule):
    """`per_class` training images of each class of another data set, numbered as class_names says; no other split.

    The seed orders the images of a class, so that its 3 are among its 5. They are loaded and augmented as the others.
    Raises UserError, at the first look, where a class has fewer.
    """

    def __init__(
        self, data: ImageDataModule, *, per_class: Annotated[int, Ge(1)], class_names: tuple[str, ...]
    ) -> None:
        super().__init__(class_names=class_names, **data.loading_settings())
        self._data, self.per_class = data, per_class

    def load(self) -> dict[str, Split]:
        split, names = self._data.splits["train"], self._data.names("train")
        turn = {name: number for number, name in enumerate(shuffled(names, f"labels, seed {self.seed}"))}
        order = np.argsort([turn[name] for name in names], kind="stable")
        chosen = [order[split.label[order] == number][: self.per_class] for number in range(self._data.num_classes)]
        for name, positions in zip(self._data.class_names, chosen, strict=True):
            if len(positions) < self.per_class:
                raise UserError(
                    f"target_labels={self.per_class} labelled images of each class are needed, {name} has "
                    f"{len(positions)} training images; try target_labels={max(len(positions), 1)}"
                )
        few = split.taken(np.concatenate(chosen))
        return {"train": WithLabels(few, renumbered(few.label, self._data.class_names, self.class_names))}


def renumbered(label: Labels, named: tuple[str, ...], wanted: tuple[str, ...]) -> NDArray[np.int64]:
    """Labels (N,) of the classes `named` as those of the joint classes `wanted`, where others are unknown."""
    number = np.array(places_of(named, wanted))
    renumbered_labels: NDArray[np.int64] = number[label.astype(np.int64)]
    return renumbered_labels

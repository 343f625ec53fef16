"""What does a run see that learns from a labelled source and from a target without labels?"""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import numpy as np

from headstart.data.hidden import Unlabelled, WithLabels
from headstart.data.images import Images, Split
from headstart.data.webdataset import WebDataset
from headstart.types import UserError

LISTED = 8  # classes that an error names


class Domains(Images):
    """Training and validation images of the source, each batch with target images as its companion; the target's test.

    The companion's labels are hidden. Classes are matched by name and numbered as the source's. Raises UserError where
    the two have other classes, or the target's images are drawn by their labels.
    """

    def __init__(self, *, source: Images, target: Images) -> None:
        if any(isinstance(data, WebDataset) for data in (source, target)):
            raise UserError("adaptation needs images that it can look up, not streams; take another data set")
        checked_classes(source.class_names, target.class_names)
        if (shots := getattr(target, "shots", None)) is not None:
            raise UserError(
                f"adaptation has no labels of the target to draw images by, got target.shots={shots}; "
                "try target.shots=null"
            )
        super().__init__(
            class_names=source.class_names,
            batch_size=source.batch_size,
            num_workers=source.num_workers,
            augment=source.augment,
            pixels=source.pixels,
            seed=source.seed,
            sampler=source.sampler,
        )
        self._source, self._target = source, target
        self.companion = Unlabelled(target)

    @cached_property
    def splits(self) -> dict[str, Split]:
        return self.load()  # in the order of their own data sets, which `names` has too

    def load(self) -> dict[str, Split]:
        test = self._target.splits["test"]
        number = np.array([self.class_names.index(name) for name in self._target.class_names])
        of_source = {name: self._source.splits[name] for name in ("train", "val")}
        return {**of_source, "test": WithLabels(test, number[test.label])}

    def names(self, split: str) -> list[str]:
        """What each image of a split is called. Raises UserError where there is no such split."""
        return (self._target if split == "test" else self._source).names(split)


def paired(source: Images, target: Images, *, main: Literal["source", "target"]) -> Images:
    """The data of a run that is about one of the two, whose training batches have a companion from the other.

    Raises UserError, as Domains says, and where one of them cannot be paired.
    """
    for name, data in (("source", source), ("target", target)):
        if not isinstance(data, Images):
            raise UserError(
                f"to learn from two data sets at once, each must be a headstart.data.images.Images, "
                f"{name} is {type(data).__name__}"
            )
        if getattr(data, "multi_label", False) and (name, main) != ("target", "target"):
            raise UserError(
                f"to learn from two data sets at once, images of the {name} must be each of one class, and they may "
                "have several labels"
            )
    if main == "source":
        return Domains(source=source, target=target)
    target.companion = source
    return target


def checked_classes(source: tuple[str, ...], target: tuple[str, ...]) -> None:
    """Raises UserError where the two do not have the same classes."""
    if set(source) == set(target):
        return
    raise UserError(
        f"adaptation needs the same classes in source and target, matched by name; the source has {_listed(source)}; "
        f"the target has {_listed(target)}; only one of them has {_listed(tuple(sorted(set(source) ^ set(target))))}"
    )


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more

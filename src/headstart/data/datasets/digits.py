"""The 1,797 handwritten digits that scikit-learn ships."""

from __future__ import annotations

import gzip
import logging
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Unpack

import numpy as np
from annotated_types import Interval
from numpy.typing import NDArray
from PIL import Image

from headstart.data.dataset_settings import (
    BoxSettings,
    ClassSettings,
    CorruptionSettings,
    FoldSettings,
    LoadingSettings,
    check_names,
    loading_of,
)
from headstart.data.datasets.in_memory import InMemory, LabelledImages, as_corrupted
from headstart.data.splits.chosen_classes import chosen_classes
from headstart.data.splits.class_division import checked_labels, without_fold
from headstart.types import UserError

TEST = 72  # images a class: 40 % of the 1,797
VAL = 50  # at least
LARGEST_SHOTS = 52  # of the rarest digit, 8, there are 174 images
SIZE = 32
DIGITS = "0123456789"

log = logging.getLogger(__name__)


class DigitsSettings(ClassSettings, CorruptionSettings, FoldSettings, BoxSettings, LoadingSettings):
    """What Digits shares with other data sets."""


class Digits(InMemory):
    """The 1,797 digits of 8x8 pixels from scikit-learn, at 32x32.

    The 720 test images are the same for every seed. The seed orders the others: the first ones of each class are for
    training (a seed's 5 shots are among its 10), the rest for validation, 50 of each class at least.
    Alpaydin & Kaynak 1998, Optical Recognition of Handwritten Digits (UCI), its test part.

    Args:
        shots: Training images of each class; None means all but 50.
        fraction: Training images as a share of all but 50, in place of shots.
        val_shots: Val images of each class, the last ones, the same for every number of shots (a seed's 2 are among its
            5); None means all that are left, 0 means no validation.
        settings: As ClassSettings, CorruptionSettings, FoldSettings, BoxSettings and LoadingSettings say.

    Raises UserError where there are not so many shots or val_shots, and as
    headstart.data.splits.class_division.checked_labels.
    """

    def __init__(
        self,
        *,
        shots: Annotated[int, Interval(ge=1, le=52)] | None,
        fraction: Annotated[float, Interval(gt=0, le=1)] | None,
        val_shots: Annotated[int, Interval(ge=0, le=101)] | None,
        **settings: Unpack[DigitsSettings],
    ) -> None:
        check_names(settings, DigitsSettings, self)
        self._classes = chosen_classes(settings["classes"], DIGITS)
        self._corruption: CorruptionSettings = {
            "corruption": settings["corruption"],
            "severity": settings["severity"],
        }
        super().__init__(class_names=self._classes.names, box=settings["box"], **loading_of(settings))
        fold, folds = settings["fold"], settings["folds"]
        checked_labels(shots=None, fraction=fraction, fold=fold, folds=folds, val_shots=val_shots)
        if shots is not None and not 1 <= shots <= LARGEST_SHOTS:
            raise UserError(
                f"shots must be between 1 and {LARGEST_SHOTS} images a class, or null for all that val "
                f"and test leave, got {shots}; try shots={min(max(shots, 1), LARGEST_SHOTS)}"
            )
        if shots is not None and fraction is not None:
            log.info("fraction=%s says how many digits are for training, in place of shots=%s", fraction, shots)
            shots = None
        most = VAL + LARGEST_SHOTS - (shots or chosen_count(LARGEST_SHOTS, fraction))
        if val_shots is not None and val_shots > most:
            beside = f"shots={'null' if shots is None else shots}" if fraction is None else f"fraction={fraction}"
            raise UserError(
                f"val_shots must be between 0 and {most} images a class beside {beside}, or null for all that "
                f"are left, got {val_shots}; try val_shots={most}"
            )
        self.shots, self.val_shots, self.fold, self.folds = shots, val_shots, fold, folds
        self.fraction = fraction

    def load(self) -> dict[str, LabelledImages]:
        image, label = handwritten()
        fixed, seeded = shuffled(image, "test"), shuffled(image, f"seed {self.seed}")
        parts: dict[str, list[int]] = {"train": [], "val": [], "test": []}
        for members in self._classes.members:
            digits = [int(name) for name in members]
            test = [at for digit in digits for at in [i for i in fixed if label[i] == digit][:TEST]]
            pool = [i for i in seeded if label[i] in digits and i not in set(test)]
            train, val = self._divided(pool, VAL * len(digits))
            parts["train"] += train
            parts["val"] += val
            parts["test"] += test
        number_of = np.full(10, -1, np.int64)
        for name, number in self._classes.number_of.items():
            number_of[int(name)] = number
        plain = {name: LabelledImages(image[part], number_of[label[part]]) for name, part in parts.items()}
        return as_corrupted(plain, self._corruption)

    def _divided(self, pool: list[int], least_val: int) -> tuple[list[int], list[int]]:
        """What of a class's images is for training and for validation; pool: in the seed's order."""
        if self.fold is not None:
            train, val = without_fold(pool, self.fold, self.folds)
            if self.shots is not None and len(train) < self.shots:
                raise UserError(
                    f"shots={self.shots} images a class are more than folds={self.folds} leave of the rarest digit, "
                    f"{len(train)}; try shots={len(train)} or folds={self.folds + 1}"
                )
            return train[: self.shots or chosen_count(len(train), self.fraction)], val
        shots = self.shots or chosen_count(len(pool) - least_val, self.fraction)
        train, val = pool[:shots], pool[shots:]
        return train, val if self.val_shots is None else val[len(val) - self.val_shots :]


def chosen_count(images: int, fraction: float | None) -> int:
    """How many of so many images a fraction is, one at least; None is all."""
    return images if fraction is None else max(1, round(fraction * images))


@cache  # the jobs of a sweep have the same
def handwritten() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """All images, white on black, and their digits: (1797, 32, 32) and (1797,). Not to be written into."""
    table = _table()
    grey = np.rint(table[:, :-1].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    # smooth, as nearest neighbours would draw edges that no pen and no font has
    enlarged = [np.asarray(Image.fromarray(small).resize((SIZE, SIZE), Image.Resampling.BICUBIC)) for small in grey]
    images, digits = np.stack(enlarged), table[:, -1].astype(np.int64)
    images.flags.writeable = digits.flags.writeable = False
    return images, digits


def _table() -> NDArray[np.float64]:
    """What sklearn.datasets.load_digits reads, without half a second for importing it: (1797, 64 pixels and digit)."""
    package = find_spec("sklearn")
    assert package is not None  # a dependency of ours
    assert package.origin is not None
    with gzip.open(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz", "rt") as lines:
        return np.loadtxt(lines, delimiter=",")


def shuffled(image: NDArray[np.uint8], key: str) -> list[int]:
    """All positions, sorted by the hash of key and image: an order that no version of a library can change."""
    digest = [sha256(key.encode() + pixels.tobytes()).digest() for pixels in image]
    return sorted(range(len(digest)), key=digest.__getitem__)

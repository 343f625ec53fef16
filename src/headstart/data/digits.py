"""Which handwritten digits does scikit-learn ship?"""

from __future__ import annotations

import gzip
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge, Interval
from numpy.typing import NDArray
from PIL import Image

from headstart.data.augment import Augmentation
from headstart.data.memory import InMemory, Labelled
from headstart.types import Pixels, UserError

TEST = 72  # images a class: 40 % of the 1,797
VAL = 50  # at least
LARGEST_SHOTS = 52  # of the rarest digit, 8, there are 174 images
SIZE = 32


class Digits(InMemory):
    """The 1,797 digits of 8x8 pixels from scikit-learn, at 32x32, `shots` of each class to train on.

    The 720 test images are the same for every seed. The seed orders the others: the first `shots` of each
    class are for training (a seed's 5 shots are among its 10), the rest for validation, 50 of each class at
    least; null = all but those 50 for training.

    Raises UserError where there are not so many shots.
    Alpaydin & Kaynak 1998, Optical Recognition of Handwritten Digits (UCI), its test part.
    """

    def __init__(
        self,
        *,
        shots: Annotated[int, Interval(ge=1, le=52)] | None,
        batch_size: Annotated[int, Ge(1)],
        num_workers: Annotated[int, Ge(0)],
        augment: Augmentation | None,
        pixels: Pixels,
        seed: Annotated[int, Ge(0)],
    ) -> None:
        super().__init__(
            class_names=tuple("0123456789"),
            batch_size=batch_size,
            num_workers=num_workers,
            augment=augment,
            pixels=pixels,
            seed=seed,
        )
        if shots is not None and not 1 <= shots <= LARGEST_SHOTS:
            raise UserError(
                f"shots must be between 1 and {LARGEST_SHOTS} images a class, or null for all that val "
                f"and test leave, got {shots}; try shots={min(max(shots, 1), LARGEST_SHOTS)}"
            )
        self.shots = shots

    def load(self) -> dict[str, Labelled]:
        image, label = handwritten()
        fixed, seeded = shuffled(image, "test"), shuffled(image, f"seed {self.seed}")
        parts: dict[str, list[int]] = {"train": [], "val": [], "test": []}
        for digit in range(10):
            test = [i for i in fixed if label[i] == digit][:TEST]
            pool = [i for i in seeded if label[i] == digit and i not in set(test)]
            shots = len(pool) - VAL if self.shots is None else self.shots
            parts["train"] += pool[:shots]
            parts["val"] += pool[shots:]
            parts["test"] += test
        return {name: Labelled(image[part], label[part]) for name, part in parts.items()}


def handwritten() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """All images, white on black, and their digits: (1797, 32, 32) and (1797,)."""
    table = _table()
    grey = np.rint(table[:, :-1].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    # smooth, as nearest neighbours would draw edges that no pen and no font has
    enlarged = [np.asarray(Image.fromarray(small).resize((SIZE, SIZE), Image.Resampling.BICUBIC)) for small in grey]
    return np.stack(enlarged), table[:, -1].astype(np.int64)


def _table() -> NDArray[np.float64]:
    """What sklearn.datasets.load_digits reads, without half a second for importing it: (1797, 64 pixels and digit)."""
    package = find_spec("sklearn")
    assert package is not None  # a dependency of ours
    assert package.origin is not None
    with gzip.open(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz", "rt") as lines:
        return np.loadtxt(lines, delimiter=",")


def shuffled(image: NDArray[np.uint8], key: str) -> list[int]:
    """All positions, sorted by the hash of key and image: chance that no version of a library can change."""
    digest = [sha256(key.encode() + one.tobytes()).digest() for one in image]
    return sorted(range(len(digest)), key=digest.__getitem__)

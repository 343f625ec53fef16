"""Embedded data sets for the tests of data."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from headstart.data.datasets.digits import Digits
from headstart.data.datasets.in_memory import InMemory
from headstart.data.datasets.printed_characters import Printed
from headstart.types import Pixels

GREY = Pixels(size=32, channels=1, mean=(0.3,), std=(0.35,))


@pytest.fixture(scope="session")
def printed() -> Callable[..., Printed]:
    def build(
        characters="letters",
        per_class=12,
        held_out=6,
        fonts=None,
        fraction=None,
        classes=None,
        box=None,
        seed=0,
        pixels=GREY,
        corruption=None,
        severity=3,
    ) -> Printed:
        return Printed(
            characters=characters,
            per_class=per_class,
            fraction=fraction,
            classes=classes,
            box=box,
            corruption=corruption,
            severity=severity,
            val_per_class=held_out,
            test_per_class=held_out,
            fonts=fonts,
            batch_size=64,
            num_workers=0,
            augment=None,
            pixels=pixels,
            seed=seed,
        )

    return build


@pytest.fixture(scope="session")
def digits() -> Callable[..., Digits]:
    def build(
        shots: int | None = 5,
        val_shots=None,
        fold=None,
        folds=5,
        fraction=None,
        classes=None,
        box=None,
        seed=0,
        pixels=GREY,
        corruption=None,
        severity=3,
    ) -> Digits:
        return Digits(
            shots=shots,
            fraction=fraction,
            classes=classes,
            box=box,
            corruption=corruption,
            severity=severity,
            val_shots=val_shots,
            fold=fold,
            folds=folds,
            batch_size=32,
            num_workers=0,
            augment=None,
            pixels=pixels,
            seed=seed,
        )

    return build


@pytest.fixture(scope="session")
def hashes() -> Callable[[NDArray[np.uint8]], list[str]]:
    """The content of each image, to compare splits by."""
    return lambda image: [sha256(one.tobytes()).hexdigest() for one in image]


@pytest.fixture(scope="session")
def digest() -> Callable[[InMemory], str]:
    """The content of all splits: images, labels and their order."""

    def of(data: InMemory) -> str:
        parts = [part.tobytes() for name in ("train", "val", "test") for part in data.splits[name]]  # type: ignore[attr-defined]
        return sha256(b"".join(parts)).hexdigest()

    return of


@pytest.fixture
def class_folders(tmp_path) -> Callable[..., Path]:
    """Makes a folder of class folders with plain PNG files, each of a colour of its own."""

    def build(counts: dict[str, int] | None = None, *, size=(8, 8), below: str = "photos") -> Path:
        root = tmp_path / below
        for label, (name, count) in enumerate((counts or {"ants": 10, "bees": 10}).items()):
            (root / name).mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", size, (10 * number, 50 * label, 0)).save(root / name / f"{number:02}.png")
        return root

    return build

"""Generated images of the benchmark."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# class: direction of the stripes in degrees, their width as a part of the image, the colour that the light ones tend to
CLASSES = {
    "across-fine": (0, 0.05, (1.0, 0.8, 0.8)),
    "across-wide": (0, 0.12, (0.9, 0.4, 0.2)),
    "falling-fine": (45, 0.05, (0.5, 0.9, 0.4)),
    "falling-wide": (45, 0.12, (0.2, 0.6, 0.2)),
    "rising-fine": (135, 0.05, (0.4, 0.6, 1.0)),
    "rising-wide": (135, 0.12, (0.2, 0.2, 0.7)),
    "upright-fine": (90, 0.05, (0.9, 0.9, 0.3)),
    "upright-wide": (90, 0.12, (0.5, 0.2, 0.5)),
}
SPLITS = ("train", "val", "test")
QUALITY = 90


def drawn(name: str, split: str, number: int, side: int) -> NDArray[np.uint8]:
    """The image of a class with this number: (side, side, 3), always the same.

    Stripes whose direction, width, place, contrast and colours chance changes, under noise: classes overlap a little.
    """
    direction, width, colour = CLASSES[name]
    chance = np.random.default_rng([list(CLASSES).index(name), SPLITS.index(split), number])
    angle = math.radians(direction + chance.normal(0, 9))
    period = 2 * width * side * math.exp(chance.normal(0, 0.25))
    y, x = np.mgrid[:side, :side]
    wave = np.sin(2 * math.pi * (x * math.sin(angle) + y * math.cos(angle)) / period + chance.uniform(0, 2 * math.pi))
    light, dark = chance.normal(colour, 0.2).clip(0, 1), chance.uniform(0, 0.3, 3)
    share = (wave[..., None] + 1) / 2
    image = share * light + (1 - share) * dark + chance.normal(0, 0.1, (side, side, 3))
    return (image.clip(0, 1) * 255).round().astype(np.uint8)


def made(root: Path, *, train: int, val: int, test: int, side: int) -> Path:
    """A folder root/<split>/<class>/<number>.jpg with so many images a split, the classes as equal as can be."""
    from PIL import Image

    for split, count in zip(SPLITS, (train, val, test), strict=True):
        for at, name in enumerate(CLASSES):
            folder = root / split / name
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(_of_class(count, at)):
                path = folder / f"{number:05d}.jpg"
                Image.fromarray(drawn(name, split, number, side)).save(path, quality=QUALITY)
    return root


def part_of(whole: Path, root: Path, *, train: int) -> Path:
    """A folder with links to the first so many training images of another, and to all others of it."""
    for split in SPLITS:
        for at, name in enumerate(CLASSES):
            (root / split / name).mkdir(parents=True, exist_ok=True)
            files = sorted((whole / split / name).iterdir())
            for file in files[: _of_class(train, at)] if split == "train" else files:
                (root / split / name / file.name).symlink_to(file)
    return root


def with_test(photos: Path, root: Path) -> Path:
    """Links to a folder of train/ and val/, with two images a class of val/ as test/: nobody's val is halved."""
    for split in SPLITS:
        source = photos / ("val" if split == "test" else split)
        for name in sorted(entry.name for entry in source.iterdir() if entry.is_dir()):
            (root / split / name).mkdir(parents=True, exist_ok=True)
            for file in sorted((source / name).iterdir())[: 2 if split == "test" else None]:
                (root / split / name / file.name).symlink_to(os.path.abspath(file))  # noqa: PTH100  # links stay links
    return root


def _of_class(count: int, at: int) -> int:
    """How many of `count` images the class at this place has."""
    return count // len(CLASSES) + (at < count % len(CLASSES))

"""Stratified samples of labelled images without replacement, and their halves."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from headstart.types import UserError


def stratified_sample(labels: NDArray[np.int64], size: int, rng: Generator, *, of_each: int = 2) -> NDArray[np.int64]:
    """Positions, ascending, of about `size` images in which the classes have the shares that they have in all.

    Args:
        labels: (N,).
        size: At least 1; from N on it is all images.
        rng: Draws the images of each class.
        of_each: Images that a class has at least, or all that it has.
    """
    if size >= len(labels):
        return np.arange(len(labels))
    chosen = []
    for label in np.unique(labels):
        pool = rng.permutation(np.flatnonzero(labels == label))
        chosen.append(pool[: max(round(size * len(pool) / len(labels)), min(of_each, len(pool)))])
    return np.sort(np.concatenate(chosen))


def stratified_halves(labels: NDArray[np.int64], count: int, rng: Generator) -> list[NDArray[np.int64]]:
    """Positions of so many halves, ascending, each followed by its complement.

    A half has half of each class's images; of an odd number it is a matter of chance which half has one more, but each
    half has one image at least, so that a class of one image is in both.

    Args:
        labels: (N,).
        count: Of halves.
        rng: Draws them.

    Raises:
        UserError: No class has two images.
    """
    classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    if count and max(map(len, classes)) < 2:
        raise UserError(
            "halves of the training images need two images of a class, and each has one; try more images "
            "(target.shots=5), or rank_sources.half_samples=0 for no intervals"
        )
    halves: list[NDArray[np.int64]] = []
    while len(halves) < count:
        parts: tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]] = ([], [])
        for pool in classes:
            drawn = rng.permutation(pool)
            first = len(drawn) // 2 + (len(drawn) % 2) * int(rng.integers(2))
            both = (drawn[:first], drawn[first:])
            for part, own in zip(parts, both, strict=True):
                part.append(own if len(own) else drawn)
        halves += [np.sort(np.concatenate(part)) for part in parts]
    return halves[:count]

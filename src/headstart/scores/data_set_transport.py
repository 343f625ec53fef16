"""Optimal-transport distance between two labelled data sets, and distances between their classes."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike

from headstart.scores.domain_discrepancy import gaussian_distance, same_width
from headstart.scores.feature_arrays import Features, Floats, Integers

FEWEST_SPREAD = 1e-12


def class_distances(
    first: Features, first_labels: ArrayLike, second: Features, second_labels: ArrayLike
) -> tuple[Floats, Integers, Integers]:
    """Squared Fréchet distances of each class of one data set to each of another (K, L), and the classes of both.

    Args:
        first: (N, D), or its shards.
        first_labels: Integers (N,).
        second: (M, D), or its shards.
        second_labels: Integers (M,).

    Raises:
        ValueError: Features or labels cannot be used.
    """
    x, y = same_width(first, second)
    classes, places = np.unique(_labels(first_labels, len(x)), return_inverse=True)
    other_classes, other_places = np.unique(_labels(second_labels, len(y)), return_inverse=True)
    own = [x[places == place] for place in range(len(classes))]
    others = [y[other_places == place] for place in range(len(other_classes))]
    squares = np.array([[gaussian_distance(a, b) for b in others] for a in own])
    return squares, classes.astype(np.int64), other_classes.astype(np.int64)


def data_set_transport(first: Features, first_labels: ArrayLike, second: Features, second_labels: ArrayLike) -> float:
    """The optimal-transport data set distance, squared, from 0; more is farther.

    The least mean of |x - y|^2 + W(class of x, class of y)^2 over all ways to carry the images of one data set to those
    of the other, W the Fréchet distance of the classes as Gaussians. Labels of the two need not mean the same. 0 for
    equal data; the same if the two change places, the images their order, classes their names, or both are rotated or
    shifted alike.
    Alvarez-Melis & Fusi 2020, Geometric Dataset Distances via Optimal Transport (NeurIPS, arXiv:2002.02923), section 4,
    p = 2. The transport is exact, by POT: N M costs are in memory, of some hundred images a second or two.

    Args:
        first: (N, D), or its shards.
        first_labels: Integers (N,).
        second: (M, D), or its shards.
        second_labels: Integers (M,).

    Raises:
        ValueError: Features or labels cannot be used.
        ImportError: POT is not installed.
    """
    import ot

    x, y = same_width(first, second)
    between, classes, others = class_distances(x, first_labels, y, second_labels)
    rows = np.searchsorted(classes, np.asarray(first_labels))
    columns = np.searchsorted(others, np.asarray(second_labels))
    middle = x.mean(axis=0)
    a, b = x - middle, y - middle
    squares = np.maximum((a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T, 0)
    squares[squares < FEWEST_SPREAD * float(max((a**2).sum(axis=1).max(), (b**2).sum(axis=1).max()))] = 0
    cost = squares + between[rows[:, None], columns]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a transport that is not the least is no distance
        return max(0.0, float(ot.emd2([], [], cost, numItermax=10_000_000)))


def _labels(labels: ArrayLike, images: int) -> Integers:
    given = np.asarray(labels)
    if given.shape != (images,) or not np.issubdtype(given.dtype, np.integer):
        raise ValueError(f"labels must be {images} integers, got {given.dtype} of the shape {given.shape}")
    return given.astype(np.int64)

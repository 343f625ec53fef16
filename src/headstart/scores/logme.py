"""LogME: the evidence of a Bayesian linear model of the labels, given the features."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from headstart.scores.feature_arrays import (
    Features,
    Floats,
    feature_blocks,
    feature_matrix,
    number_of_images,
    target_classes,
)

BOUND = np.log(
    1e12
)  # of |log of the ratio of the precisions|, in units of the features' largest squared singular value
GRID = 97


def logme(features: Features, targets: ArrayLike) -> float:
    """The mean over the classes of the log evidence per image; more is better.

    A class's 0 and 1 are a linear function of the features plus noise, both Gaussian. The evidence is at its maximum
    over the precision of the weights and of the noise; the ratio of the two is found to 1e-10 by a search within
    1e±12, which also bounds the evidence where the features fit the labels exactly. Rotating the features changes
    nothing, and neither does scaling them; shifting them does, as the model has no bias.

    You et al. 2021, LogME: Practical Assessment of Pre-trained Models for Transfer Learning (ICML), eq. 1 to 3; the
    fixed point of their algorithm is this maximum.

    Args:
        features: An array (N, D) or its shards.
        targets: Classes as integers (N,), or numbers as floats (N,) or (N, K), for regression.

    Raises:
        ValueError: Where features or targets cannot be used.
    """
    columns = _columns(targets, number_of_images(features))
    squares, explained, rest = _spectrum(features, columns)
    total = len(columns)
    return float(
        np.mean([_evidence(squares, explained[:, k], rest[k], total) for k in range(columns.shape[1])]) / total
    )


def _columns(targets: ArrayLike, images: int) -> Floats:
    """(N, K): a column of zeros and ones for each class, or the numbers as they are."""
    values = np.asarray(targets)
    if np.issubdtype(values.dtype, np.floating):
        numbers = values.reshape(len(values), -1).astype(np.float64)
        if len(numbers) != images or not np.isfinite(numbers).all():
            raise ValueError(f"targets must be one finite row an image, got {values.shape} for {images} images")
        return numbers
    classes = target_classes(values, images)
    return np.asarray(classes.index[:, None] == np.arange(classes.number), dtype=np.float64)


def _spectrum(features: Features, columns: Floats) -> tuple[Floats, Floats, Floats]:
    """Squared singular values s (k,), (uᵀt)² (k, K), and what of |t|² (K,) lies outside the span of the features."""
    images, width = len(columns), len(next(feature_blocks(features))[1].T)
    if images <= width:
        matrix = feature_matrix(features)
        squares, left = np.linalg.eigh(matrix @ matrix.T)
        along = left.T @ columns
    else:
        gram, products = np.zeros((width, width)), np.zeros((width, columns.shape[1]))
        for first, block in feature_blocks(features):
            gram += block.T @ block
            products += block.T @ columns[first : first + len(block)]
        squares, right = np.linalg.eigh(gram)
        along = (right.T @ products) / np.sqrt(np.maximum(squares, np.finfo(float).tiny))[:, None]
    is_kept = squares > squares[-1] * max(images, width) * np.finfo(float).eps
    explained = along[is_kept] ** 2
    return squares[is_kept], explained, np.maximum((columns**2).sum(axis=0) - explained.sum(axis=0), 0)


def _evidence(squares: Floats, explained: Floats, rest: float, images: int) -> float:
    """The maximum of the log evidence over both precisions.

    For a ratio r of the weights' precision to the noise's, the noise's best precision is N / E with E the penalised
    error, rest + Σ (uᵀt)² r/(r + s), and the evidence is ½ Σ ln(r/(r + s)) + N/2 (ln(N/E) - 1 - ln 2π).
    """
    whole = rest + float(explained.sum())
    if whole == 0:  # the target is 0 everywhere
        raise ValueError("targets must not be 0 for all images")
    if not len(squares):
        return images / 2 * (math.log(images / whole) - 1 - math.log(2 * math.pi))
    unit = squares[-1]

    def loss(logarithm: float) -> float:
        share = 1 / (1 + squares / (unit * np.exp(logarithm)))  # r / (r + s)
        error = max(rest + float(explained @ share), float(np.finfo(float).eps) * whole)
        fit = images / 2 * (math.log(images / error) - 1 - math.log(2 * math.pi))
        return -(float(np.log(share).sum()) / 2 + fit)

    grid = np.linspace(-BOUND, BOUND, GRID)
    values = [loss(point) for point in grid]
    best = int(np.argmin(values))
    near = grid[max(best - 1, 0)], grid[min(best + 1, GRID - 1)]
    minimum = minimize_scalar(loss, bounds=near, method="bounded", options={"xatol": 1e-10})
    return -min(float(minimum.fun), values[best])

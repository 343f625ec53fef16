"""TransRate: the mutual information of features and labels, by their coding rates."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from headstart.scores.feature_arrays import (
    BLOCK_ROWS,
    Features,
    Floats,
    Integers,
    feature_rows,
    number_of_images,
    target_classes,
)


def transrate(features: Features, labels: ArrayLike, *, distortion: float = 1e-4) -> float:
    """R(Z) - mean over the classes of R(Z_c), R(Z) = ½ ln det(I + ZᵀZ/(n ε)); more is better.

    Z: the features less their mean over all images. Rotating and shifting the features change nothing; scaling them
    does, as ε is fixed.
    Huang et al. 2022, Frustratingly Easy Transferability Estimation (ICML), eq. 3 to 5.

    Args:
        features: An array (N, D) or its shards.
        labels: Classes as integers (N,).
        distortion: ε, above 0.

    Raises:
        ValueError: Where features or labels cannot be used, or the distortion is not above 0.
    """
    if not distortion > 0:
        raise ValueError(f"distortion must be above 0, got {distortion}")
    classes = target_classes(labels, number_of_images(features))
    everything = np.arange(len(classes.index))
    mean = sum(block.sum(axis=0) for block in feature_rows(features, everything, BLOCK_ROWS)) / len(everything)
    by_class = [
        _coding_rate(features, mean, np.flatnonzero(classes.index == label), distortion)
        for label in range(classes.number)
    ]
    return float(_coding_rate(features, mean, everything, distortion) - np.mean(by_class))


def _coding_rate(features: Features, mean: Floats, chosen: Integers, distortion: float) -> float:
    """Of the chosen rows, less the mean: by the smaller of ZᵀZ and ZZᵀ, which have the same determinant."""
    width = len(mean)
    if len(chosen) <= width:
        z = next(feature_rows(features, chosen, len(chosen))) - mean
        gram = z @ z.T
    else:
        gram = np.zeros((width, width))
        for block in feature_rows(features, chosen, BLOCK_ROWS):
            z = block - mean
            gram += z.T @ z
    return float(np.linalg.slogdet(np.eye(len(gram)) + gram / (len(chosen) * distortion))[1] / 2)

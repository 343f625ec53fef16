"""PARC: the rank correlation between distances of features and of labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import spearmanr

from headstart.scores.feature_arrays import Features, feature_matrix, target_classes


def parc(features: Features, labels: ArrayLike) -> float:
    """100 times Spearman's correlation over all pairs of images, from -100 to 100; more is better.

    Of 1 - Pearson's correlation of two images' standardised features, and of 0 or 1, whether their labels are equal
    (as ranks, that of the one-hot labels' correlation). Shifting the features and scaling each on its own change
    nothing; an image whose standardised features are all equal, or features that are all constant, have a
    correlation of 0.
    Bolya et al. 2021, Scalable Diverse Model Selection for Accessible Transfer Learning (NeurIPS), section 4.2.

    Args:
        features: An array (N, D) or its shards; D of 2 or more; N² distances are in memory.
        labels: Classes as integers (N,).

    Raises:
        ValueError: Where features or labels cannot be used, or there is one feature alone.
    """
    matrix = feature_matrix(features)
    classes = target_classes(labels, len(matrix))
    if matrix.shape[1] < 2:
        raise ValueError("PARC correlates the features of two images, which takes 2 features or more, got 1")
    spread = matrix.std(axis=0)
    standard = (matrix - matrix.mean(axis=0)) / np.where(spread > 1e-12 * np.abs(matrix).max(), spread, np.inf)
    standard -= standard.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(standard, axis=1, keepdims=True)
    standard /= np.where(lengths > 0, lengths, np.inf)
    upper = np.triu_indices(len(matrix), 1)
    distances = 1 - (standard @ standard.T)[upper]
    different = (classes.index[:, None] != classes.index)[upper]
    if different.all() or np.ptp(distances) == 0:  # one image a class, or no distance says anything
        return 0.0
    return float(100 * spearmanr(distances, different).statistic)

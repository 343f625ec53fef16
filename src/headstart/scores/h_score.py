"""H-score: the share of the features' covariance that lies between the classes, plain and regularised."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from headstart.scores.feature_arrays import Features
from headstart.scores.feature_moments import feature_moments


def h_score(features: Features, labels: ArrayLike) -> float:
    """tr(cov(f)⁺ cov(E[f|y])), from 0 to C - 1; more is better.

    No linear map of the features that can be inverted changes it, nor does a shift. With as many features as images
    noise reaches the maximum: `regularised_h_score` is the one to rank by.
    Bao et al. 2019, An Information-Theoretic Approach to Transferability in Task Transfer Learning (ICIP), def. 2.

    Args:
        features: An array (N, D) or its shards.
        labels: Classes as integers (N,).

    Raises:
        ValueError: Where features or labels cannot be used.
    """
    moments = feature_moments(features, labels)
    values, vectors = np.linalg.eigh(moments.covariance)
    cut = values[-1] * max(moments.images, len(values)) * np.finfo(float).eps
    if values[-1] <= 0:
        return 0.0
    directions = vectors[:, values > cut]
    between = np.einsum("di,de,ei->i", directions, moments.between_classes, directions, optimize=True)
    return float((between / values[values > cut]).sum())


def regularised_h_score(features: Features, labels: ArrayLike) -> float:
    """tr(cov_α(f)⁻¹ (1 - α) cov(E[f|y])) with the covariance shrunk by α (Ledoit & Wolf 2004); more is better.

    Rotating, shifting and scaling all features alike change nothing; constant features have 0.
    Ibrahim et al. 2021, Newer is not always better: Rethinking transferability metrics (arXiv:2110.06893), eq. 4.

    Args:
        features: An array (N, D) or its shards.
        labels: Classes as integers (N,).

    Raises:
        ValueError: Where features or labels cannot be used.
    """
    moments = feature_moments(features, labels)
    covariance, alpha = moments.covariance, moments.shrinkage
    level = np.trace(covariance) / len(covariance)
    if level <= 0 or alpha == 1:
        return 0.0
    if alpha == 0:
        return h_score(features, labels)
    shrunk = (1 - alpha) * covariance + alpha * level * np.eye(len(covariance))
    return float((1 - alpha) * np.trace(np.linalg.solve(shrunk, moments.between_classes)))

"""GBC: the overlap of the classes, as Gaussians, by their Bhattacharyya coefficients."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from headstart.scores.feature_arrays import Features
from headstart.scores.feature_moments import feature_moments


def gbc(features: Features, labels: ArrayLike, *, covariance: Literal["diagonal", "spherical"] = "diagonal") -> float:
    """-Σ_{i≠j} exp(-D_B(i, j)), from -C(C - 1) to 0; more is better.

    D_B = ⅛ Σ (Δμ)²/σ̄² + ½ Σ ln(σ̄²/√(σᵢ² σⱼ²)) over the features, with σ̄² the mean of both variances (over n). A
    feature that is constant in both classes adds 0 where it is equal in both, and separates them where it is not.
    Shifting the features and scaling all alike change nothing; with spherical covariances, rotating them neither.
    Pándy et al. 2022, Transferability Estimation using Bhattacharyya Class Separability (CVPR), eq. 4 and 5.

    Args:
        features: An array (N, D) or its shards.
        labels: Classes as integers (N,).
        covariance: diagonal: a variance a feature; spherical: their mean.

    Raises:
        ValueError: Where features or labels cannot be used, or covariance is neither of the two.
    """
    if covariance not in ("diagonal", "spherical"):
        raise ValueError(f"covariance must be diagonal or spherical, got {covariance}")
    moments = feature_moments(features, labels)
    means, variances = moments.class_means, moments.class_variances
    scale = (moments.mean**2 + np.diagonal(moments.covariance)).max()
    variances = np.where(variances > 1e-14 * scale, variances, 0)  # what rounding has left of a constant
    if covariance == "spherical":
        variances = np.broadcast_to(variances.mean(axis=1, keepdims=True), means.shape)
    coefficients = 0.0
    for first in range(len(means) - 1):
        gap = (means[first] - means[first + 1 :]) ** 2
        mine, others = variances[first], variances[first + 1 :]
        middle = (mine + others) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            near = np.where(gap > 1e-14 * scale, gap / middle, 0)
            spread = np.where(middle > 0, np.log(middle) - (np.log(mine) + np.log(others)) / 2, 0)
        coefficients += float(np.exp(-(near / 8 + spread / 2).sum(axis=1)).sum())
    return -2 * coefficients

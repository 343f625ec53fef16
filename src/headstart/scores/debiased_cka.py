"""Debiased linear centred kernel alignment: similarity of two layers' features of the same images."""

from __future__ import annotations

import math

import numpy as np

from headstart.scores.feature_arrays import Features, Floats, feature_matrix


def debiased_linear_cka(first: Features, second: Features) -> float:
    """Linear CKA with the unbiased estimate of HSIC: at most about 1, around 0 for unrelated features.

    The plain one is near 1 whatever the features are where there are fewer images than features; this one is not
    (Murphy et al. 2024, Correcting Biased Centered Kernel Alignment Measures, arXiv:2405.01012). HSIC by Song et al.
    2012 (Feature Selection via Dependence Maximization, JMLR 13, eq. 5), as in Nguyen et al. 2021 (arXiv:2010.15327,
    eq. 3). 1 for equal features; the same if the two change places, the images their order alike, or one is rotated,
    shifted or scaled. NaN where the features of one do not vary, or vary too little for the estimate to be above 0.

    Args:
        first: (N, D), or its shards, N from 4.
        second: (N, E), or its shards, of the same images.

    Raises:
        ValueError: Features cannot be used, are not of as many images, or of fewer than 4.
    """
    x, y = feature_matrix(first), feature_matrix(second)
    if len(x) != len(y) or len(x) < 4:
        raise ValueError(f"features of the same 4 images or more are compared, got {len(x)} and {len(y)}")
    of_x, of_y = _kernel(x), _kernel(y)
    alone = unbiased_hsic(of_x, of_x), unbiased_hsic(of_y, of_y)
    return unbiased_hsic(of_x, of_y) / math.sqrt(alone[0] * alone[1]) if min(alone) > 0 else math.nan


def unbiased_hsic(first: Floats, second: Floats) -> float:
    """The unbiased estimate of the Hilbert-Schmidt independence criterion of two kernels, over N(N - 3).

    Args:
        first: (N, N), its diagonal 0.
        second: (N, N), its diagonal 0.
    """
    n = len(first)
    rows = first.sum(axis=1), second.sum(axis=1)
    whole = rows[0].sum() * rows[1].sum() / ((n - 1) * (n - 2))
    return float(((first * second).sum() + whole - 2 / (n - 2) * (rows[0] @ rows[1])) / (n * (n - 3)))


def _kernel(features: Floats) -> Floats:
    """Inner products of centred features, which HSIC does not need, but digits of far means do; its diagonal 0."""
    centred = features - features.mean(axis=0)
    most = float(np.abs(features).max())
    if float(np.abs(centred).max()) <= 1e-12 * most:
        return np.zeros((len(features), len(features)))
    kernel = centred @ centred.T
    np.fill_diagonal(kernel, 0)
    return np.asarray(kernel)

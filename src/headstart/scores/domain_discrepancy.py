"""Distances between the features of two data sets: maximum mean discrepancy and Fréchet distance."""

from __future__ import annotations

import numpy as np

from headstart.scores.feature_arrays import Features, Floats, feature_matrix


def gaussian_mmd(first: Features, second: Features) -> float:
    """The squared maximum mean discrepancy by a Gaussian kernel, from 0; more is farther.

    exp(-|x - y|^2 / (2 m)), where m is the median of |x - y|^2 / 2 over all pairs of different images of both together
    (Gretton et al. 2012, A Kernel Two-Sample Test, JMLR 13, eq. 5 and section 8: the biased estimate, which is never
    below 0). 0 for equal data; the same if the two change places, the images change their order, or both are rotated,
    shifted or scaled alike. Where all images are equal it is 0. Of random samples of one distribution it is about 2/N.

    Args:
        first: (N, D), or its shards.
        second: (M, D), or its shards; (N + M)^2 distances are in memory.

    Raises:
        ValueError: Features cannot be used, or are not equally wide.
    """
    x, y = same_width(first, second)
    both = np.concatenate([x, y])
    both = both - both.mean(axis=0)
    lengths = (both**2).sum(axis=1)
    squares = np.maximum(lengths[:, None] + lengths - 2 * both @ both.T, 0)
    np.fill_diagonal(squares, 0)
    median = float(np.median(squares[np.triu_indices(len(both), 1)]))
    if median <= 1e-20 * float(lengths.max(initial=0)) or median == 0:
        median = float(squares.mean())  # most images are equal
        if median == 0:
            return 0.0
    kernel = np.exp(-squares / median)
    n = len(x)
    return max(0.0, float(kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2 * kernel[:n, n:].mean()))


def frechet_distance(first: Features, second: Features) -> float:
    """The squared Fréchet distance of Gaussians with the features' means and covariances, from 0; more is farther.

    |m_1 - m_2|^2 + tr(C_1 + C_2 - 2 (C_1 C_2)^(1/2)) (Dowson & Landau 1982; Heusel et al. 2017, arXiv:1706.08500, as
    FID on Inception's features). Covariances are over N - 1; of one image it is 0. The trace of the root is the sum of
    the singular values of X_1 X_2^T / ((N - 1)(M - 1))^(1/2), X centred: exact where there are fewer images than
    features, too. 0 for equal data; the same if the two change places, the images their order, or both are rotated or
    shifted alike. It grows with the square of the features' scale, and is too large by some D/N of their variance.

    Args:
        first: (N, D), or its shards.
        second: (M, D), or its shards.

    Raises:
        ValueError: Features cannot be used, or are not equally wide.
    """
    return float(gaussian_distance(*same_width(first, second)))


def gaussian_distance(x: Floats, y: Floats) -> float:
    """The squared Fréchet distance of two matrices (N, D) and (M, D).

    Args:
        x: Finite.
        y: Finite.
    """
    means = x.mean(axis=0), y.mean(axis=0)
    a, b = (_factor(part - mean) for part, mean in zip((x, y), means, strict=True))
    gap = float(((means[0] - means[1]) ** 2).sum())
    spread = float((a**2).sum() + (b**2).sum())
    root = float(np.linalg.svd(a @ b.T, compute_uv=False).sum())
    rest = spread - 2 * root
    return gap + (rest if rest > 1e-12 * spread else 0.0)


def _factor(centred: Floats) -> Floats:
    """R (r, D) with R^T R the covariance, r at most D."""
    scaled = centred / np.sqrt(max(1, len(centred) - 1))
    return np.asarray(np.linalg.qr(scaled, mode="r")) if len(scaled) > scaled.shape[1] else scaled


def same_width(first: Features, second: Features) -> tuple[Floats, Floats]:
    """Both as matrices in float64.

    Args:
        first: (N, D), or its shards.
        second: (M, D), or its shards.

    Raises:
        ValueError: Features cannot be used, or are not equally wide.
    """
    x, y = feature_matrix(first), feature_matrix(second)
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"features of two data sets must be equally wide, got {x.shape[1]} and {y.shape[1]}; are they of one model?"
        )
    return x, y

"""Centred kernel alignment: similarity of two networks' features."""

from __future__ import annotations

from torch import Tensor


def linear_cka(first: Tensor, second: Tensor) -> float:
    """Linear centred kernel alignment of features (N, d) and (N, e) of the same N images, in [0, 1].

    1: the same up to a rotation, a shift and a scale; of fewer images than features it is near 1 whatever the two are
    (Murphy et al. 2024, arXiv:2405.01012). NaN where one of the two does not vary. Computed in float64. Raises
    ValueError where the two are not of as many images.
    Kornblith et al. 2019, Similarity of Neural Network Representations Revisited (arXiv:1905.00414), eq. 3 and 4:
    |Y^T X|^2 / (|X^T X| |Y^T Y|) of centred X and Y, Frobenius norms.
    """
    if len(first) != len(second):
        raise ValueError(f"features of the same images are as many, got {len(first)} and {len(second)}")
    x, y = (features.double() - features.double().mean(dim=0) for features in (first, second))
    if max(x.shape[1], y.shape[1]) > len(x):  # the same three numbers by the kernels, which are then smaller
        k, m = x @ x.T, y @ y.T
        both, alone = (k * m).sum(), k.norm() * m.norm()
    else:
        both, alone = (y.T @ x).square().sum(), (x.T @ x).norm() * (y.T @ y).norm()
    return float((both / alone).clamp(max=1)) if alone > 0 else float("nan")

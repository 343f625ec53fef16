"""Principal axes of features, and the features along them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from headstart.features.probing.stacked_heads import StackedHeads

ROUNDING = 1e-10  # of the largest variance: what lies below it is rounding and no axis


class PrincipalAxes(NamedTuple):
    """The principal axes of features, and the features along them; float64.

    A head with an L2 penalty lies in the span of its features, and the penalty is the same along any
    orthonormal axes: so what ridge and logistic regression look for, they find here, where the features are
    uncorrelated and no wider than there are images.
    """

    mean: Tensor  # (D,)
    basis: Tensor  # (D, r), orthonormal columns
    spread: Tensor  # (r,), sums of squares along each axis, the largest first
    coordinates: Tensor  # (N, r)

    def heads(self, weight: Tensor, bias: Tensor) -> StackedHeads:
        """Heads on the features themselves, of heads on the coordinates: weight (G, K, r), bias (G, K)."""
        turned = weight @ self.basis.T
        return StackedHeads(turned, bias - turned @ self.mean)


def class_sums(coordinates: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Coordinates (N, r) added up by class (K, r)."""
    return coordinates.new_zeros(num_classes, coordinates.shape[1]).index_add_(0, labels, coordinates)


def principal_axes(features: Tensor) -> PrincipalAxes:
    """The axes of features (N, D): r <= min(N - 1, D) of them, none where the features do not vary.

    By the eigenvectors of the smaller of X^T X and X X^T, X centred.
    """
    x = features.double()
    mean = x.mean(dim=0)
    x = x - mean
    wide = x.shape[0] < x.shape[1]
    spread, vectors = torch.linalg.eigh(x @ x.T if wide else x.T @ x)
    varying = (spread > ROUNDING * spread[-1].clamp(min=torch.finfo(x.dtype).tiny)).nonzero()[:, 0].flip(0)
    spread, vectors = spread[varying], vectors[:, varying]
    if wide:  # vectors are the images' U: X = U S V^T
        root = spread.sqrt()
        return PrincipalAxes(mean, x.T @ (vectors / root), spread, vectors * root)
    return PrincipalAxes(mean, vectors, spread, x @ vectors)

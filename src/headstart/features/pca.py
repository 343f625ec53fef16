"""Principal component analysis of features."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class PrincipalComponents(NamedTuple):
    """The first n principal directions of features of width D, the one of the largest variance first."""

    mean: Tensor  # (D,)
    components: Tensor  # (n, D), orthonormal rows
    variance: Tensor  # (n,), of the features along each
    share: Tensor  # (n,), of the variance of all D directions together

    def of(self, features: Tensor) -> Tensor:
        """Features (N, D) -> their places along the directions (N, n)."""
        return ((features.double() - self.mean.double()) @ self.components.double().T).to(features.dtype)


def directions(features: Tensor, n: int) -> PrincipalComponents:
    """The principal directions of features (N, D), computed in float64 and given in the features' type.

    The entry of largest size in each row of `components` is positive, so that equal features give equal signs.
    Variances are over N - 1. Features that do not vary at all have share 0.
    Raises ValueError where n is not 1 to min(N - 1, D): beyond it there is no variance and no direction.
    Pearson 1901, doi:10.1080/14786440109462720; the signs as in scikit-learn 1.5.
    """
    count, width = features.shape
    most = min(count - 1, width)
    if not 1 <= n <= most:
        raise ValueError(f"{count} rows of {width} numbers have 1 to {most} principal directions, got n={n}")
    mean = features.double().mean(dim=0)
    centred = features.double() - mean
    if count > width:  # the smaller of the two problems; in float64 squaring costs no digit that float32 has
        values, vectors = torch.linalg.eigh(centred.T @ centred)  # the smallest first
        values, rows = values.flip(0).clamp(min=0), vectors.T.flip(0)
    else:
        _, singular, rows = torch.linalg.svd(centred, full_matrices=False)
        values = singular.square()
    rows = rows[:n]
    largest = rows.gather(1, rows.abs().argmax(dim=1, keepdim=True))
    components = rows * torch.where(largest < 0, -1.0, 1.0)
    total = values.sum()
    share = values[:n] / total if total > 0 else torch.zeros_like(values[:n])
    values_of = (mean, components, values[:n] / (count - 1), share)
    return PrincipalComponents(*(tensor.to(features.dtype) for tensor in values_of))

"""Maximum mean discrepancy of two samples, and the Gaussian kernels for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Estimate = Literal["biased", "unbiased", "linear"]


def gaussians(distances: Tensor, scale: Tensor, octaves: Sequence[float]) -> Tensor:
    """The mean over k in octaves of exp(-d / (2^k scale)) of squared distances d, of any shape."""
    return torch.stack([torch.exp(-distances / (2.0**octave * scale)) for octave in octaves]).mean(dim=0)


def squared_distances(x: Tensor) -> Tensor:
    """|x_i - x_j|^2 of the rows of x (n, d) -> (n, n)."""
    return (x[:, None, :] - x[None, :, :]).square().sum(dim=2) if x.shape[1] < 8 else _by_products(x)


def _by_products(x: Tensor) -> Tensor:
    centred = x - x.mean(dim=0)  # distances do not change, and less is lost by taking large numbers from each other
    squares = centred.square().sum(dim=1)
    return (squares[:, None] + squares[None, :] - 2 * centred @ centred.T).clamp(min=0)


def median_scale(distances: Tensor) -> Tensor:
    """The median squared distance of two different rows, without gradient (n, n) -> scalar > 0.

    The median heuristic of Gretton et al. 2012 (JMLR 13), section 8, which Long et al. 2015 take.
    """
    n = len(distances)
    above = distances.detach()[torch.triu_indices(n, n, offset=1, device=distances.device).unbind()]
    return above.median().clamp(min=1e-12)


def mmd(kernel: Tensor, n: int, estimate: Estimate) -> Tensor:
    """The squared maximum mean discrepancy, scalar, of a kernel (n + m, n + m) whose first n rows are the source's.

    E k(s, s') + E k(t, t') - 2 E k(s, t), Gretton et al. 2012 (JMLR 13): `biased` over all pairs (eq. 5, never
    negative, 0 for equal clouds), `unbiased` without those of a row with itself (eq. 3), `linear` over disjoint pairs
    of rows (lemma 14): cheaper, as good on average, and noisier. The last two can be negative.
    """
    of_source, of_target, across = kernel[:n, :n], kernel[n:, n:], kernel[:n, n:]
    if estimate == "linear":
        pairs = min(n, len(kernel) - n) // 2
        first, second = torch.arange(0, 2 * pairs, 2), torch.arange(1, 2 * pairs, 2)
        return (
            of_source[first, second] + of_target[first, second] - across[first, second] - across[second, first]
        ).mean()
    if estimate == "biased":
        return of_source.mean() + of_target.mean() - 2 * across.mean()
    return _off_diagonal(of_source) + _off_diagonal(of_target) - 2 * across.mean()


def _off_diagonal(kernel: Tensor) -> Tensor:
    n = len(kernel)
    return (kernel.sum() - kernel.diagonal().sum()) / max(1, n * (n - 1))

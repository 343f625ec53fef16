"""Heads that predict numbers from features: ridge regression and nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from headstart.features.principal_axes import PrincipalAxes
from headstart.features.probing.neighbour_probe import NeighbourMeasure, nearest
from headstart.features.probing.stacked_heads import StackedHeads


def ridge_numbers(axes: PrincipalAxes, targets: Tensor, strengths: Sequence[float]) -> StackedHeads:
    """Ridge regression of numbers, one head a strength, all in closed form.

    axes: of the features (N, D); targets (N, T). A head has the least mean over the images of |y - W^T x - b|^2,
    plus strength |W|^2 (scikit-learn's alpha is N times the strength); b is not penalised.
    """
    y = targets.to(axes.coordinates)
    middle = y.mean(dim=0)
    along = (y - middle).T @ axes.coordinates  # (T, r)
    penalty = len(y) * torch.tensor(strengths, dtype=along.dtype, device=along.device)
    weight = along / (axes.spread + penalty[:, None])[:, None, :]
    return axes.heads(weight, middle.expand(len(penalty), -1))


def neighbour_numbers(
    train: Tensor, targets: Tensor, query: Tensor, *, measure: NeighbourMeasure, ks: Sequence[int], temperature: float
) -> Tensor:
    """The mean number of the k nearest training images, for each k.

    train (N, D), targets (N, T), query (M, D) -> (len(ks), M, T). cosine and euclidean: neighbours count alike;
    softmax: by exp(cosine / temperature). Raises ValueError where a k is larger than N.
    """
    predicted = []
    numbers = max(ks) * targets.shape[1]
    for weight, positions in nearest(train, query, measure=measure, ks=ks, temperature=temperature, numbers=numbers):
        summed = (weight[:, :, None] * targets.to(weight)[positions]).cumsum(dim=1)  # (m, k, T)
        whole = weight.cumsum(dim=1)
        predicted.append(torch.stack([summed[:, k - 1] / whole[:, k - 1, None] for k in ks]))
    return torch.cat(predicted, dim=1)

"""Greedy k-centre choice: images that lie far from each other and from those that are there."""

from __future__ import annotations

import torch
from torch import Tensor


def k_center(features: Tensor, count: int, centers: Tensor | None = None) -> list[int]:
    """Rows of features (N, D), each the farthest from all centres so far, the first chosen first.

    Sener & Savarese 2018, Active Learning for Convolutional Neural Networks: A Core-Set Approach (ICLR,
    arXiv:1708.00489), algorithm 1: the largest distance to a centre is at most twice the least possible. Of equal
    distances the first row counts.

    Args:
        features: (N, D), to choose from.
        count: How many, at most N.
        centers: (M, D), those that are there; None: the first is the one nearest the mean.

    Raises:
        ValueError: There are not so many.
    """
    if not 0 <= count <= len(features):
        raise ValueError(f"0 to {len(features)} rows can be chosen, got {count}")
    x = features.double()
    chosen: list[int] = []
    if count == 0:
        return chosen
    if centers is None or not len(centers):
        chosen.append(int((x - x.mean(dim=0)).square().sum(dim=1).argmin()))
        nearest = (x - x[chosen[0]]).square().sum(dim=1)
    else:
        nearest = torch.cdist(x, centers.double()).square().min(dim=1).values
    nearest[chosen] = -1.0
    while len(chosen) < count:
        farthest = int(nearest.argmax())
        chosen.append(farthest)
        nearest = torch.minimum(nearest, (x - x[farthest]).square().sum(dim=1))
        nearest[chosen] = -1.0
    return chosen

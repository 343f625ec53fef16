"""k-nearest-neighbour classification on features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

NeighbourMeasure = Literal["cosine", "euclidean", "softmax"]
CHUNK = 2**24  # similarities or votes that are in memory at once


def neighbours(
    train: Tensor, labels: Tensor, query: Tensor, num_classes: int, *,
    measure: NeighbourMeasure, ks: Sequence[int], temperature: float,
) -> Tensor:  # fmt: skip
    """The class that most of the k nearest training images have, for each k.

    train (N, D), labels (N,), query (M, D) -> (len(ks), M). cosine and euclidean: a neighbour has one vote; softmax:
    exp(cosine / temperature) votes, the weighted k-NN of DINO (Wu et al. 2018, arXiv:1805.01978, section 3.4;
    Caron et al. 2021, arXiv:2104.14294). Of classes with as many votes the first counts.
    Raises ValueError where a k is larger than N.
    """
    classes = one_hot(labels, num_classes).to(train)
    predicted = []
    numbers = max(ks) * num_classes  # votes of an image
    for weight, positions in nearest(train, query, measure=measure, ks=ks, temperature=temperature, numbers=numbers):
        counted = (weight[:, :, None] * classes[positions]).cumsum(dim=1)  # (m, k, K)
        predicted.append(torch.stack([counted[:, k - 1].argmax(dim=1) for k in ks]))
    return torch.cat(predicted, dim=1)


def nearest(
    train: Tensor, query: Tensor, *, measure: NeighbourMeasure, ks: Sequence[int], temperature: float, numbers: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Of each part of the query images, in order, the nearest training images: (weights, rows), both (m, max(ks)).

    Args:
        train: Features of the training images, (N, D).
        query: Features of others, (M, D).
        measure: What near is; cosine and euclidean: all weights are 1.
        ks: Numbers of neighbours.
        temperature: Of the weights of softmax, of which only ratios count.
        numbers: How many the caller has in memory for an image.

    Raises:
        ValueError: A k is larger than N.
    """
    if not 1 <= min(ks) <= max(ks) <= len(train):
        raise ValueError(f"k must be 1 to the {len(train)} training images, got {', '.join(map(str, ks))}")
    if measure == "euclidean":
        middle = train.mean(dim=0)  # distances are as before, and rounding less
        train, query = train - middle, query - middle
        length = train.square().sum(dim=1)
    else:
        train, query = normalize(train), normalize(query)
    for part in torch.split(query, max(1, CHUNK // max(len(train), numbers))):
        near = part @ train.T
        if measure == "euclidean":  # less |q|^2, which is the same for all neighbours
            near = near.mul_(2).sub_(length)
        nearness, positions = near.topk(max(ks), dim=1)  # the nearest first
        if measure == "softmax":  # less the largest: only ratios count, and exp(1 / 0.001) is infinite
            yield ((nearness - nearness[:, :1]) / temperature).exp(), positions
        else:
            yield torch.ones_like(nearness), positions

"""Accuracy of a head on frozen features over the number of training images, each number with several draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.features.probing.logistic_probe import logistic
from headstart.features.probing.probes import LabelledFeatures, Probe, ProbeData
from headstart.features.probing.ridge_probe import ridge

CurveHead = Literal["ridge", "logistic"]


class CurvePoint(NamedTuple):
    """What heads that learned from so many images get right.

    Attributes:
        images: From which each learned.
        correct: (draws, V), whether each measuring image is classified right.
        strengths: That were chosen, on one half of the measuring images for the other.
    """

    images: int
    correct: NDArray[np.bool_]
    strengths: tuple[float, float]


def curve_sizes(labels: Tensor, num_classes: int, shots: Sequence[int] | None) -> list[int]:
    """Numbers of training images, rising, that of all of them last.

    Args:
        labels: (N,), of all training images.
        num_classes: Of the labels.
        shots: Images a class, on average; None: 1, 2, 4 and so on, as far as they are at most half of all images.
    """
    total = len(labels)
    chosen = shots or [2**power for power in range(32) if 2**power * num_classes <= total / 2]
    return [*sorted({count * num_classes for count in chosen if count * num_classes < total}), total]


def drawn_images(labels: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Positions of so many images, each class with its share of them, rounded, but one image at least.

    Args:
        labels: (N,), each class with an image.
        count: From the number of classes to N.
        rng: That draws.
    """
    classes, inverse, of_class = np.unique(labels, return_inverse=True, return_counts=True)
    wanted = of_class * (count / len(labels))
    taken = np.maximum(1, np.floor(wanted)).astype(np.int64)
    while taken.sum() < count:  # the class that lacks most, of those that have more
        taken[np.where(taken < of_class, wanted - taken, -np.inf).argmax()] += 1
    while taken.sum() > count:  # one image each was more than their share
        taken[np.where(taken > 1, taken - wanted, -np.inf).argmax()] -= 1
    return np.concatenate(
        [rng.permutation(np.flatnonzero(inverse == place))[: taken[place]] for place in range(len(classes))]
    )


def shot_curve(
    train: LabelledFeatures,
    val: LabelledFeatures,
    num_classes: int,
    sizes: Sequence[int],
    *,
    head: CurveHead,
    strengths: Sequence[float],
    draws: int,
    seed: int,
) -> list[CurvePoint]:
    """What a head gets right on val, at each size with several draws of training images.

    The strength is chosen for each size, by the mean accuracy of its draws, on every second image of each class of val
    and measured on the others, then the other way round: so no image measures what it has chosen. All images are one
    draw.

    Args:
        train: From which images are drawn.
        val: Which measures.
        num_classes: Of the labels.
        sizes: Numbers of training images.
        head: Ridge regression in closed form, or logistic regression.
        strengths: Of its penalty, as for ridge() or logistic().
        draws: Of each size.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    labels = train.labels.cpu().numpy()
    first = torch.from_numpy(every_second(val.labels.cpu().numpy()))
    points = []
    for size in sizes:
        tables = []
        for _ in range(draws if size < len(labels) else 1):
            at = np.arange(len(labels)) if size == len(labels) else drawn_images(labels, size, rng)
            chosen = torch.from_numpy(np.sort(at)).to(train.labels.device)
            probe = _fitted(train.features[chosen], train.labels[chosen], num_classes, head, strengths)
            tables.append((probe.predict(val.features, range(len(strengths))) == val.labels).cpu())
        right = torch.stack(tables)  # (draws, strengths, V)
        correct = torch.empty(right.shape[0], right.shape[2], dtype=torch.bool)
        picked = []
        for choosing in (first, ~first):
            best = int(right[:, :, choosing].double().mean(dim=(0, 2)).argmax())
            correct[:, ~choosing] = right[:, best][:, ~choosing]
            picked.append(float(strengths[best]))
        points.append(CurvePoint(size, correct.numpy(), (picked[0], picked[1])))
    return points


def every_second(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(N,), true for every second image of each class, in their order.

    Args:
        labels: (N,).
    """
    chosen = np.zeros(len(labels), dtype=np.bool_)
    for name in np.unique(labels):
        chosen[np.flatnonzero(labels == name)[::2]] = True
    return chosen


def _fitted(features: Tensor, labels: Tensor, num_classes: int, head: CurveHead, strengths: Sequence[float]) -> Probe:
    images = LabelledFeatures(features, labels)
    material = ProbeData(images, images, num_classes)
    learn = ridge if head == "ridge" else logistic
    heads = learn(material.principal_axes, labels, num_classes, strengths)
    return Probe.of_heads(heads, [{"strength": value} for value in strengths], material.scale)

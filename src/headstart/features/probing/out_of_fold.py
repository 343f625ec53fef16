"""Probabilities of classes by logistic regressions that did not learn from the image."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import torch
from sklearn.model_selection import StratifiedKFold
from torch import Tensor

from headstart.features.probing.logistic_probe import logistic
from headstart.features.probing.probes import LabelledFeatures, ProbeData


class OutOfFold(NamedTuple):
    """Probabilities of each image by the folds that it is not in.

    Attributes:
        probabilities: (N, K), float64 on the CPU.
        strength: The chosen C.
    """

    probabilities: Tensor
    strength: float


def out_of_fold(
    images: LabelledFeatures, num_classes: int, *, folds: int, strengths: Sequence[float], seed: int
) -> OutOfFold:
    """The probabilities at the C by which the labels are likeliest.

    Folds are stratified; a class with fewer images than folds lies in as many as it has images. Features are
    standardised on the images that a fold learns from.

    Args:
        images: Features (N, D) and labels (N,), each class with two images.
        num_classes: Of the labels.
        folds: At least 2.
        strengths: Values of C to choose from.
        seed: Of the folds.
    """
    labels = images.labels.cpu().numpy()
    found = torch.empty(len(strengths), len(labels), num_classes, dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        splits = list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(labels, labels))
    for train, held in splits:
        learnt, other = (torch.from_numpy(part).to(images.labels.device) for part in (train, held))
        part = LabelledFeatures(images.features[learnt], images.labels[learnt])
        found[:, torch.from_numpy(held)] = class_probabilities(part, images.features[other], num_classes, strengths)
    own = found[:, torch.arange(len(labels)), images.labels.cpu()]  # (G, N)
    best = int(own.clamp(min=1e-12).log().mean(dim=1).argmax())
    return OutOfFold(found[best], float(strengths[best]))


def class_probabilities(
    train: LabelledFeatures, features: Tensor, num_classes: int, strengths: Sequence[float]
) -> Tensor:
    """(len(strengths), M, K), float64 on the CPU: what logistic regressions say of other images.

    Args:
        train: From which they learn.
        features: (M, D), of the others.
        num_classes: Of the labels.
        strengths: scikit-learn's C.
    """
    material = ProbeData(train, train, num_classes)
    heads = logistic(material.principal_axes, train.labels, num_classes, strengths)
    logits = heads.logits(material.scale.of(features).to(heads.weight))  # (G, K, M)
    return logits.softmax(dim=1).permute(0, 2, 1).cpu()

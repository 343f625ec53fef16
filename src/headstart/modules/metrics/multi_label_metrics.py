"""Metrics of images with several labels: average precision, F1, subset accuracy."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


def average_precisions(logits: Tensor, label: Tensor) -> Tensor:
    """The average precision of each class (C,), nan of one that no image has; logits (N, C), label (N, C), 0 or 1.

    The sum over the thresholds of (R_n - R_{n-1}) P_n, equal logits one threshold, as scikit-learn has it: that is
    the mean over a class's images of the precision among all that are ranked as high as it or higher.
    """
    score, order = logits.float().T.contiguous().sort(dim=1, descending=True)  # (C, N)
    positive = (label.T > 0.5).gather(1, order).long()  # whole numbers: a GPU sums others in no fixed order
    last = torch.searchsorted(-score, -score, right=True)  # how many images are ranked as high as each, or higher
    hits = positive.cumsum(dim=1).gather(1, last - 1)
    return (positive * hits / last).sum(dim=1) / positive.sum(dim=1)


class LabelScore(NamedTuple):
    """Of one class; a share of nothing is 0, as scikit-learn has it, the average precision of no image nan."""

    average_precision: float
    precision: float  # of the images that are said to have it, the share that have it
    recall: float  # of the images that have it, the share of which that is said
    f1: float  # the harmonic mean of both
    support: int  # the images that have it


def label_scores(logits: Tensor, label: Tensor) -> list[LabelScore]:
    """Of each class; logits (N, C), of which those above 0 say yes, label (N, C), 0 or 1."""
    predicted, true = logits > 0, label > 0.5
    counts = torch.stack([(predicted & true).sum(dim=0), predicted.sum(dim=0), true.sum(dim=0)], dim=1).tolist()
    return [
        LabelScore(precision, hit / max(yes, 1), hit / max(having, 1), 2 * hit / max(having + yes, 1), having)
        for precision, (hit, yes, having) in zip(average_precisions(logits, label).tolist(), counts, strict=True)
    ]


class MeanAveragePrecision(Metric):
    """The mean of the classes' average precisions, over classes that an image has; exact, so it stores all logits.

    Args:
        num_classes: The classes.
    """

    higher_is_better = True
    full_state_update = False
    logits: list[Tensor]
    label: list[Tensor]

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        # flat, as torchmetrics gives a rank without images a flat empty state
        self.add_state("logits", default=[], dist_reduce_fx="cat")
        self.add_state("label", default=[], dist_reduce_fx="cat")

    def update(self, logits: Tensor, label: Tensor) -> None:
        self.logits.append(logits.float().flatten())
        self.label.append(label.float().flatten())

    def compute(self) -> Tensor:
        logits, label = (dim_zero_cat(state).view(-1, self.num_classes) for state in (self.logits, self.label))
        return average_precisions(logits, label).nanmean()


class LabelF1(Metric):
    """F1 = 2 TP / (2 TP + FP + FN), of all labels together (micro) or the mean over classes (macro).

    0 for a class that no image has and none is predicted to have, as scikit-learn has it.

    Args:
        num_classes: The classes.
        average: Over all labels together (`micro`) or over classes (`macro`).
    """

    higher_is_better = True
    full_state_update = False
    right: Tensor
    said: Tensor
    true: Tensor

    def __init__(self, num_classes: int, *, average: Literal["micro", "macro"]) -> None:
        super().__init__()
        self.average = average
        for name in ("right", "said", "true"):  # counts of each class
            self.add_state(name, default=torch.zeros(num_classes, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, logits: Tensor, label: Tensor) -> None:
        predicted, true = logits > 0, label > 0.5
        self.right = self.right + (predicted & true).sum(dim=0)
        self.said = self.said + predicted.sum(dim=0)
        self.true = self.true + true.sum(dim=0)

    def compute(self) -> Tensor:
        right, whole = self.right.float(), (self.said + self.true).float()
        if self.average == "micro":
            right, whole = right.sum(), whole.sum()
        return (2 * right / whole.clamp(min=1)).mean()


class SubsetAccuracy(Metric):
    """The share of images of which every label is right."""

    higher_is_better = True
    full_state_update = False
    right: Tensor
    images: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("right", "images"):
            self.add_state(name, default=torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, logits: Tensor, label: Tensor) -> None:
        self.right = self.right + ((logits > 0) == (label > 0.5)).all(dim=1).sum()
        self.images = self.images + len(logits)

    def compute(self) -> Tensor:
        return self.right / self.images.clamp(min=1)

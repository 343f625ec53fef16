"""Area under the ROC curve of each class, by ranks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


def areas_under_roc(score: Tensor, label: Tensor) -> Tensor:
    """The area under the ROC curve of each class (C,), nan of one that all images have or none.

    score (N, C), label (N, C), 0 or 1: how often an image with the class has a higher score than one without it, equal
    scores half (Mann & Whitney 1947), from the ranks of the scores.
    """
    columns = score.T.contiguous()  # (C, N)
    ordered = columns.sort(dim=1).values
    below = torch.searchsorted(ordered, columns).double()
    rank = (below + torch.searchsorted(ordered, columns, right=True).double() + 1) / 2  # equal scores share theirs
    positive = label.T > 0.5
    having = positive.sum(dim=1).double()
    pairs = having * (positive.shape[1] - having)
    return ((rank * positive).sum(dim=1) - having * (having + 1) / 2) / pairs.where(pairs > 0, torch.nan)


class AreaUnderRoc(Metric):
    """The mean of the classes' areas under the ROC curve, each against all others; exact, so it stores all logits.

    Classes that no image has, or all have, are left out, as they have no such curve.

    Args:
        num_classes: The classes.
        softmax: Whether an image has one class, so that scores are shares of one; else each label stands by itself.
    """

    higher_is_better = True
    full_state_update = False
    logits: list[Tensor]
    label: list[Tensor]

    def __init__(self, num_classes: int, *, softmax: bool) -> None:
        super().__init__()
        self.num_classes, self.softmax = num_classes, softmax
        # flat, as torchmetrics gives a rank without images a flat empty state
        self.add_state("logits", default=[], dist_reduce_fx="cat")
        self.add_state("label", default=[], dist_reduce_fx="cat")

    def update(self, logits: Tensor, label: Tensor) -> None:
        self.logits.append(logits.float().flatten())
        self.label.append(label.flatten())

    def compute(self) -> Tensor:
        score = dim_zero_cat(self.logits).view(-1, self.num_classes)
        label = dim_zero_cat(self.label)
        if self.softmax:
            score, label = score.double().log_softmax(dim=1), one_hot(label.long(), self.num_classes)
        return areas_under_roc(score, label.view(-1, self.num_classes)).nanmean().float()

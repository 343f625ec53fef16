"""MCC: minimum class confusion of the target predictions."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt
from torch import Tensor

from headstart.adaptation.adaptation import Adaptation, Head, Ramp, Side
from headstart.adaptation.cdan import certainty


class MCC(Adaptation):
    """strength * class_confusion of the target's logits.

    Args:
        weight: As of any adaptation.
        ramp: As of any adaptation.
        temperature: Divides the logits first.
    """

    reads_target_alone = True
    measures = ("class_confusion",)

    def __init__(self, *, weight: Annotated[float, Ge(0)], ramp: Ramp, temperature: Annotated[float, Gt(0)]) -> None:
        super().__init__(weight=weight, ramp=ramp)
        self.temperature = temperature

    def forward(self, *, source: Side, target: Side, head: Head, strength: float) -> Tensor:
        confusion = class_confusion(target.logits.float(), self.temperature)
        self.metrics = {"class_confusion": confusion.detach()}
        return strength * confusion


def class_confusion(logits: Tensor, temperature: float) -> Tensor:
    """Logits (B, C) -> the mean over classes of what a class shares with others, scalar in [0, 1).

    Jin et al. 2020, Minimum Class Confusion (arXiv:1912.03699), eqs. 2 to 6: softened probabilities, images weighted
    by 1 + exp(-entropy), rows of the confusion between classes divided by their sums.
    """
    probability = (logits / temperature).softmax(dim=1)
    weight = certainty(probability.detach())
    weight = weight * len(weight) / weight.sum()
    confusion = probability.T @ (weight[:, None] * probability)  # (C, C)
    confusion = confusion / confusion.sum(dim=1, keepdim=True)
    return (confusion.sum() - confusion.diagonal().sum()) / len(confusion)

"""MDD: margin disparity discrepancy of a second head between source and target."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from headstart.adaptation.adaptation import Adaptation, Head, Ramp, Side
from headstart.adaptation.gradient_reversal import reversed_gradient


class MDD(Adaptation):
    """margin * disparity on the source plus mistrust on the target, of a second head behind a reversed gradient.

    Zhang et al. 2019, Bridging Theory and Algorithm for Domain Adaptation (arXiv:1904.05801), eqs. 26 to 30. The second
    head learns to agree with the first on the source and to disagree on the target; the backbone learns, at
    `strength`, to make them agree.

    Args:
        weight: As of any adaptation.
        ramp: As of any adaptation.
        margin: The paper's gamma.
        hidden: The width of the second head's hidden layer.
    """

    measures = ("source_agreement", "target_agreement")

    def __init__(
        self,
        *,
        weight: Annotated[float, Ge(0)],
        ramp: Ramp,
        margin: Annotated[float, Gt(0)],
        hidden: Annotated[int, Gt(0)],
    ) -> None:
        super().__init__(weight=weight, ramp=ramp)
        self.margin, self.hidden = margin, hidden

    def prepare(self, *, width: int, num_classes: int, source_classes: int) -> None:
        self.second = nn.Sequential(nn.Linear(width, self.hidden), nn.ReLU(), nn.Linear(self.hidden, num_classes))

    def forward(self, *, source: Side, target: Side, head: Head, strength: float) -> Tensor:
        predicted = [side.logits.argmax(dim=1) for side in (source, target)]
        of_source, of_target = (
            self.second(reversed_gradient(side.features, strength)).float() for side in (source, target)
        )
        self.metrics = {
            "source_agreement": (of_source.argmax(dim=1) == predicted[0]).float().mean(),
            "target_agreement": (of_target.argmax(dim=1) == predicted[1]).float().mean(),
        }
        return self.margin * cross_entropy(of_source, predicted[0]) + mistrust(of_target, predicted[1])


def mistrust(logits: Tensor, predicted: Tensor) -> Tensor:
    """The mean of -ln(1 - softmax(logits)[said]) of logits (B, C) and classes (B,), scalar >= 0.

    Small where another class is likelier than the one that was said. ln(1 - p) is the log of the other classes' sum, so
    that nothing has to be kept away from 0.
    """
    others = logits.masked_fill(nn.functional.one_hot(predicted, logits.shape[1]).bool(), float("-inf"))
    return (torch.logsumexp(logits, dim=1) - torch.logsumexp(others, dim=1)).mean()

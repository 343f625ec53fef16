"""OSBP: an unknown class for what the source has no class for, found by gradient reversal."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Interval
from torch import Tensor
from torch.nn.functional import log_softmax

from headstart.adaptation.adaptation import Adaptation, Head, Ramp, Side
from headstart.adaptation.gradient_reversal import reversed_gradient
from headstart.types import UserError


class OSBP(Adaptation):
    """The cross-entropy of the probability of the unknown class, the last one, with `boundary` on the target's images.

    Saito et al. 2018, Open Set Domain Adaptation by Backpropagation (arXiv:1804.10427), eqs. 3 to 6: the head wants
    each target image to be unknown with the probability `boundary`, the backbone, behind a reversed gradient of
    `strength`, wants anything else, and so makes each image known or unknown. The head is the run's, with a class more
    than the source has.

    Args:
        weight: As of any adaptation.
        ramp: As of any adaptation.
        boundary: The paper's t.
    """

    measures = ("unknown_share",)

    def __init__(
        self,
        *,
        weight: Annotated[float, Ge(0)],
        ramp: Ramp,
        boundary: Annotated[float, Interval(gt=0, lt=1)],
    ) -> None:
        super().__init__(weight=weight, ramp=ramp)
        self.boundary = boundary

    def prepare(self, *, width: int, num_classes: int, source_classes: int) -> None:
        if num_classes != source_classes + 1:
            raise UserError(
                "adaptation=osbp needs an unknown class beside the source's, got the same classes in both; try "
                "class_sets=open"
            )

    def forward(self, *, source: Side, target: Side, head: Head, strength: float) -> Tensor:
        logits = head(reversed_gradient(target.features, strength))
        self.metrics = {"unknown_share": (logits.detach().argmax(dim=1) == logits.shape[1] - 1).float().mean()}
        return unknown_loss(logits.float(), self.boundary)


def unknown_loss(logits: Tensor, boundary: float) -> Tensor:
    """The mean cross-entropy of the last class's probability, of logits (B, classes), with `boundary`; scalar."""
    log_probability = log_softmax(logits, dim=1)
    log_known = torch.logsumexp(log_probability[:, :-1], dim=1)
    return -(boundary * log_probability[:, -1] + (1 - boundary) * log_known).mean()

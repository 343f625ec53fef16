"""Asymmetric loss of several labels an image: labels that it has not count less than those that it has."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Interval
from torch import Tensor

from headstart.modules.losses.training_loss import TrainingLoss
from headstart.types import UserError


class AsymmetricLoss(TrainingLoss):
    """-(1 - p)^gamma_positive log p of a label that is there, -q^gamma_negative log(1 - q) of one that is not.

    p is the label's probability, q = max(p - clip, 0): labels that are surely not there count nothing. Ridnik et al.
    2021, Asymmetric Loss For Multi-Label Classification (arXiv:2009.14119), eq. 7; the mean over images and labels,
    where the paper has the sum.

    Args:
        gamma_positive: How much less labels count that are there and predicted well.
        gamma_negative: The same of labels that are not there.
        clip: The probability below which a label that is not there counts nothing.
    """

    kinds = ("several_labels",)

    def __init__(
        self,
        *,
        gamma_positive: Annotated[float, Ge(0)],
        gamma_negative: Annotated[float, Ge(0)],
        clip: Annotated[float, Interval(ge=0, lt=1)],
    ) -> None:
        super().__init__()
        if not (gamma_positive >= 0 and gamma_negative >= 0 and 0 <= clip < 1):
            raise UserError(
                "module.loss needs gamma_positive and gamma_negative of 0 or more and clip from 0 to below 1, got "
                f"{gamma_positive}, {gamma_negative} and {clip}; 1, 4 and 0.05 are usual"
            )
        self.gamma_positive, self.gamma_negative, self.clip = gamma_positive, gamma_negative, clip

    def of_labels(self, logits: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        p = logits.float().sigmoid()
        lacking = (1 - p + self.clip).clamp(max=1)  # 1 - q
        having = -wanted * (1 - p) ** self.gamma_positive * p.clamp(min=1e-8).log()
        return having, -(1 - wanted) * (1 - lacking) ** self.gamma_negative * lacking.clamp(min=1e-8).log()

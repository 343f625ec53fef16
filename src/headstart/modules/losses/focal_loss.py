"""Focal loss: cross-entropy in which images that are predicted well count less."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge
from torch import Tensor
from torch.nn.functional import logsigmoid

from headstart.modules.losses.training_loss import TrainingLoss
from headstart.types import UserError


class FocalLoss(TrainingLoss):
    """-(1 - p)^gamma log p of the right class, or of each label; gamma 0 is the cross-entropy.

    Lin et al. 2017, Focal Loss for Dense Object Detection (arXiv:1708.02002), eq. 4; its alpha is module.class_weights.
    With shares of classes, as label smoothing and mixed images have, the terms of the classes times their shares.

    Args:
        gamma: How much less images count that are predicted well.
    """

    kinds = ("one_label", "several_labels")

    def __init__(self, *, gamma: Annotated[float, Ge(0)]) -> None:
        super().__init__()
        if not gamma >= 0:
            raise UserError(f"module.loss.gamma must be 0 or more, got {gamma}; 2 is usual")
        self.gamma = gamma

    def of_classes(self, logits: Tensor, wanted: Tensor) -> Tensor:
        log_p = logits.float().log_softmax(dim=1)
        return -wanted * (1 - log_p.exp()) ** self.gamma * log_p

    def of_labels(self, logits: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        log_p, log_q = logsigmoid(logits.float()), logsigmoid(-logits.float())
        having = -wanted * log_q.exp() ** self.gamma * log_p
        return having, -(1 - wanted) * log_p.exp() ** self.gamma * log_q

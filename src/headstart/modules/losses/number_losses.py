"""Losses of numbers as targets: Huber, and the squared error."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor
from torch.nn.functional import huber_loss

from headstart.modules.losses.training_loss import TrainingLoss
from headstart.types import UserError


class HuberLoss(TrainingLoss):
    """Half the squared error up to delta, beyond it delta (|error| - delta / 2): outliers count less.

    Huber 1964, Robust Estimation of a Location Parameter.

    Args:
        delta: Where the error begins to count linearly, in standard deviations of the training images' numbers.
    """

    kinds = ("numbers",)

    def __init__(self, *, delta: Annotated[float, Gt(0)]) -> None:
        super().__init__()
        if not delta > 0:
            raise UserError(f"module.loss.delta must be above 0, got {delta}; 1 is usual")
        self.delta = delta

    def of_numbers(self, residual: Tensor) -> Tensor:
        return huber_loss(residual, torch.zeros_like(residual), delta=self.delta, reduction="none")


class SquaredError(TrainingLoss):
    """The squared error, in variances of the training images' numbers."""

    kinds = ("numbers",)

    def of_numbers(self, residual: Tensor) -> Tensor:
        return residual.square()

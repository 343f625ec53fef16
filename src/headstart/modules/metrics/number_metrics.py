"""Errors of predicted numbers: mean absolute error, root of the mean squared error, R squared."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


def mean_absolute_errors(predicted: Tensor, true: Tensor) -> Tensor:
    """Of each column (T,); predicted and true (N, T)."""
    return (predicted - true).abs().mean(dim=0)


def root_mean_squared_errors(predicted: Tensor, true: Tensor) -> Tensor:
    """Of each column (T,); predicted and true (N, T)."""
    return (predicted - true).square().mean(dim=0).sqrt()


def r2_scores(predicted: Tensor, true: Tensor) -> Tensor:
    """1 - sum of squared errors / sum of squares around the mean, of each column (T,); predicted and true (N, T).

    Where all true numbers are equal, 1 if all predictions are right, else 0, as scikit-learn has it.
    """
    errors = (predicted - true).square().sum(dim=0)
    around = (true - true.mean(dim=0)).square().sum(dim=0)
    return torch.where(around > 0, 1 - errors / around.clamp(min=1e-300), (errors == 0).to(errors))


SCORES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mae": mean_absolute_errors,
    "rmse": root_mean_squared_errors,
    "r2": r2_scores,
}


class NumberMetric(Metric):
    """The mean over columns of an error or a score of a whole split; in float64, so it stores all numbers.

    Args:
        name: mae, rmse or r2.
        num_targets: The columns.
    """

    full_state_update = False
    predicted: list[Tensor]
    true: list[Tensor]

    def __init__(self, name: str, num_targets: int) -> None:
        super().__init__()
        self.name, self.num_targets = name, num_targets
        # flat, as torchmetrics gives a rank without images a flat empty state
        self.add_state("predicted", default=[], dist_reduce_fx="cat")
        self.add_state("true", default=[], dist_reduce_fx="cat")

    def update(self, predicted: Tensor, true: Tensor) -> None:
        self.predicted.append(predicted.float().flatten())
        self.true.append(true.float().flatten())

    def compute(self) -> Tensor:
        numbers = [dim_zero_cat(state) for state in (self.predicted, self.true)]
        predicted, true = (part.cpu().double().view(-1, self.num_targets) for part in numbers)  # MPS has no float64
        return SCORES[self.name](predicted, true).mean().float().to(numbers[0].device)

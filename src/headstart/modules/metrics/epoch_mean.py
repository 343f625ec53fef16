"""The mean of numbers over an epoch, which is nan where one of them is."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import MeanMetric


class Mean(MeanMetric):
    """torchmetrics' MeanMetric, which leaves nan out: the epoch of a model that has diverged would look sound."""

    def update(self, value: float | Tensor, weight: float | Tensor | None = None) -> None:
        """Take a number, or several, with the weight of each."""
        values = torch.as_tensor(value, dtype=self.dtype, device=self.device)
        weights = torch.as_tensor(1.0 if weight is None else weight, dtype=self.dtype, device=self.device).broadcast_to(
            values.shape
        )
        self.mean_value += (values * weights).sum()
        self.weight += weights.sum()

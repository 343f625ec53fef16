"""Numbers as targets: Huber loss on standardised numbers, errors in the targets' own units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from headstart.modules.labels.label_kinds import Labels
from headstart.modules.losses.number_losses import HuberLoss
from headstart.modules.losses.training_loss import TrainingLoss
from headstart.modules.metrics.number_metrics import SCORES, NumberMetric
from headstart.types import UserError

LEAST_SPREAD = 1e-5  # standard deviation over the largest number: below, float32 cannot tell the numbers apart


class NumberTargets(Labels):
    """One number or several an image; logits and labels (B, T) are in the units of the table.

    The loss of training is on errors in standard deviations of the training images' numbers, Huber's with delta 1 where
    none is chosen. That of val and test is the mean squared error in their variances, 1 of a model that knows their
    mean alone. The metric that is followed is the mean absolute error, of several columns, whose units may differ, the
    mean of their R squared.

    Args:
        num_classes: The columns.
        metric: The metric that is followed; None is the kind's own.
        loss: In the place of Huber's.

    Attributes:
        std: Of the training images' numbers (T,), in checkpoints.
    """

    kind = "numbers"
    own_metric = "mae"
    metric_names = tuple(SCORES)
    std: Tensor

    def __init__(self, num_classes: int, *, metric: str | None = None, loss: Callable[..., Any] | None = None) -> None:
        own = "mae" if num_classes == 1 else "r2"
        super().__init__(num_classes, metric=metric or own, loss=loss)
        self.huber = HuberLoss(delta=1.0)
        self.register_buffer("std", torch.ones(num_classes))

    def metric_of(self, name: str) -> Metric | None:
        return NumberMetric(name, self.num_classes) if name in SCORES else None

    def training_metrics(self) -> dict[str, Metric]:
        return {"mae": NumberMetric("mae", self.num_classes)}

    def evaluation_metrics(self) -> dict[str, Metric]:
        return {name: NumberMetric(name, self.num_classes) for name in ("rmse", "r2")}

    def training_loss(self, logits: Tensor, label: Tensor, *, smoothing: float) -> Tensor:  # noqa: ARG002 - of classes
        loss = self.chosen_loss or self.huber
        if isinstance(loss, TrainingLoss):
            return loss.of_numbers((logits - label) / self.std).mean()
        value: Tensor = loss(logits / self.std, label / self.std)
        return value

    def loss(self, logits: Tensor, label: Tensor) -> Tensor:
        return self.image_losses(logits, label).mean()

    def image_losses(self, logits: Tensor, label: Tensor) -> Tensor:
        """The loss of each image (N,), the mean over columns."""
        return ((logits - label) / self.std).square().mean(dim=1)

    @staticmethod
    def decided(label: Tensor) -> Tensor:
        return label

    @staticmethod
    def sureness(logits: Tensor, label: Tensor) -> Tensor:
        """How wrong the worst number of each image is (N,)."""
        return (logits - label).abs().amax(dim=1)

    @staticmethod
    def mistake(logits: Tensor, label: Tensor, names: Sequence[str]) -> str:
        at = int((logits - label).abs().argmax())
        return f"{names[at]} {float(label[at]):.4g} as {float(logits[at]):.4g}"

    def balancing(self, *_: Any) -> Tensor:
        raise UserError("module.class_weights weights classes, and the target has numbers; leave it null")


def units_of(label: Tensor, names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each column of the training images' numbers (N, T) -> (T,), (T,).

    Raises UserError where a column's numbers are equal, or too close together for float32.
    """
    values = label.cpu().double()
    mean, std = values.mean(dim=0), values.std(dim=0, correction=0)
    for name, spread, largest in zip(names, std.tolist(), values.abs().amax(dim=0).tolist(), strict=True):
        if not spread > LEAST_SPREAD * largest:
            raise UserError(
                f"numbers to learn must differ, the {len(values)} training images have a standard deviation of "
                f"{spread:.3g} for {name}, around {largest:.6g}; subtract what they have in common, or take another"
            )
    return mean.to(label), std.to(label)

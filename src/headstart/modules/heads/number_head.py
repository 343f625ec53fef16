"""Head whose outputs are numbers in the units of the targets: another head, its outputs times std plus mean."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from headstart.modules.heads.ridge_layer import ridge_layer
from headstart.types import UserError


class NumberHead(nn.Module):
    """A head that learns standardised numbers and gives them in the targets' own units.

    Args:
        head: Features (B, width) to standardised numbers (B, num_targets).
        num_targets: The columns.

    Attributes:
        mean: Of the training images' numbers (num_targets,), in checkpoints.
        std: Their standard deviation (num_targets,), in checkpoints.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, *, head: Any, num_targets: int) -> None:
        super().__init__()
        self.head = head
        self.register_buffer("mean", torch.zeros(num_targets))
        self.register_buffer("std", torch.ones(num_targets))

    @property
    def init(self) -> str:
        """What the weights are before the first step; class_means is the closed form, here ridge regression."""
        return str(self.head.init)

    @property
    def standardise(self) -> bool:
        """Whether the last layer reads standardised features."""
        return bool(self.head.standardise)

    def summary(self, features: Tensor) -> Tensor:
        """What the backbone gives (B, ...) -> what the last layer reads (B, d)."""
        read: Tensor = self.head.summary(features)
        return read

    def forward(self, features: Tensor) -> Tensor:
        """What the backbone gives (B, ...) -> numbers (B, num_targets)."""
        numbers: Tensor = self.mean + self.std * self.head(features)
        return numbers

    @torch.no_grad()
    def set_units(self, mean: Tensor, std: Tensor) -> None:
        """Take the mean and the standard deviation of the training images' numbers, each (num_targets,)."""
        self.mean.copy_(mean)
        self.std.copy_(std)

    def set_scale(self, summary: Tensor) -> None:
        """Take mean and standard deviation of summaries (N, d), where the head standardises."""
        self.head.set_scale(summary)

    def stop_standardising(self) -> None:
        """Read features as they are from now on."""
        self.head.stop_standardising()

    @torch.no_grad()
    def set_class_means(self, summary: Tensor, labels: Tensor, all_labels: Tensor | None = None) -> None:  # noqa: ARG002 - of labels the odds
        """Set the scale, and take the closed form: ridge regression of numbers (N, num_targets) on summaries (N, d).

        Raises UserError where the last layer is not linear.
        """
        layer = self.head.get_submodule(self.head.last_layer[0].rpartition(".")[0])
        if not isinstance(layer, nn.Linear):
            raise UserError(
                f"head.init=class_means of numbers is ridge regression and needs a linear last layer, got "
                f"{type(self.head).__name__}; try head=linear, or head.init=random start_class_means=false"
            )
        self.head.set_scale(summary)
        if self.head.standardise:
            summary = (summary - self.head.get_buffer("mean")) / self.head.get_buffer("std")
        weight, bias, _ = ridge_layer(summary, (labels.to(self.mean) - self.mean) / self.std)
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)

    def set_source(self, *_: Any) -> None:
        """Raise UserError: a source's head tells classes."""
        raise UserError(
            "head.init=source takes the source's head, which tells classes, and the target has numbers; "
            "try head.init=class_means"
        )

"""MLP head: one hidden layer between features and logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from annotated_types import Ge, Interval
from torch import Tensor, nn

from headstart.modules.heads.classification_head import ClassificationHead, Init
from headstart.modules.heads.linear_head import set_closed_form, set_zeros

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh}


class MLPHead(ClassificationHead):
    """A hidden layer with an activation and dropout, then a linear layer.

    With init=class_means the last layer is in closed form on what the random hidden layer gives of the training images.

    Args:
        width: Of the features.
        num_classes: The classes.
        init: What its weights are before the first step; the hidden layer is random, but for `source`.
        standardise: Whether the last layer reads standardised numbers, by those of the training images at the start.
        hidden_width: Units of the hidden layer.
        activation: Of the hidden layer.
        dropout: The share of the hidden units that a training step leaves out.
    """

    last_layer = ("linear.weight", "linear.bias")

    def __init__(
        self,
        *,
        width: int,
        num_classes: int,
        init: Init,
        standardise: bool = False,
        hidden_width: Annotated[int, Ge(1)],
        activation: Literal["relu", "gelu", "silu", "tanh"],
        dropout: Annotated[float, Interval(ge=0, lt=1)],
    ) -> None:
        super().__init__(init=init, standardise=standardise, summary_width=hidden_width)
        self.hidden = nn.Linear(width, hidden_width)
        self.activation, self.dropout = ACTIVATIONS[activation](), nn.Dropout(dropout)
        self.linear = nn.Linear(hidden_width, num_classes)
        if init == "zeros":
            set_zeros(self.linear)

    def summary(self, features: Tensor) -> Tensor:
        """Features (B, width) -> the hidden layer's (B, hidden_width)."""
        hidden: Tensor = self.dropout(self.activation(self.hidden(features)))
        return hidden

    def last(self, read: Tensor) -> Tensor:
        """The hidden layer's (B, hidden_width) -> logits (B, num_classes)."""
        logits: Tensor = self.linear(read)
        return logits

    def fit_means(self, read: Tensor, labels: Tensor, all_labels: Tensor | None) -> None:
        """Set the last layer in closed form on what it reads (N, d)."""
        set_closed_form(self.linear, read, labels, all_labels)

"""The contract of a loss of training that stands in the place of cross-entropy or of the Huber loss."""

from __future__ import annotations

from abc import ABC
from typing import ClassVar, Literal

from torch import Tensor, nn

Kind = Literal["one_label", "several_labels", "numbers"]


class TrainingLoss(nn.Module, ABC):
    """Terms of each image, which headstart weights by class and averages.

    Attributes:
        kinds: The kinds of labels that it is made for.
    """

    kinds: ClassVar[tuple[Kind, ...]]

    def of_classes(self, logits: Tensor, wanted: Tensor) -> Tensor:
        """The terms of each image and class (B, C); wanted: shares of the classes (B, C), which sum to 1."""
        raise NotImplementedError

    def of_labels(self, logits: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """The terms of having each label, and of not having it, each (B, C); wanted: shares (B, C), 0 to 1."""
        raise NotImplementedError

    def of_numbers(self, residual: Tensor) -> Tensor:
        """The terms (B, T) of what is predicted less what is true (B, T), in standard deviations of training."""
        raise NotImplementedError

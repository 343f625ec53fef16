"""The contract of a kind of labels: loss, metrics and mistakes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn
from torchmetrics import Metric


class Labels(nn.Module, ABC):
    """The loss, the metrics and the mistakes of a kind of labels.

    Args:
        num_classes: The classes of the labels.

    Attributes:
        monitor: The metric, without its split, that the best checkpoint, the report and plateaus follow.
        weight: Of the classes in the loss of training (C,), None = all alike; not in checkpoints, as the training
            images give it anew.
    """

    monitor: ClassVar[str]
    weight: Tensor | None

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.register_buffer("weight", None, persistent=False)

    @abstractmethod
    def training_metrics(self) -> dict[str, Metric]:
        """What is measured in every batch of training, from logits and labels: cheap."""

    @abstractmethod
    def evaluation_metrics(self) -> dict[str, Metric]:
        """What is measured on val and test besides."""

    @abstractmethod
    def training_loss(self, logits: Tensor, label: Tensor, *, smoothing: float) -> Tensor:
        """That of training, classes weighted; label as in a Batch, or shares of the classes (B, classes), float."""

    @abstractmethod
    def loss(self, logits: Tensor, label: Tensor) -> Tensor:
        """That of val and test, which no setting of training changes."""

    @staticmethod
    @abstractmethod
    def decided(label: Tensor) -> Tensor:
        """Labels as the metrics take them: of shares, as mixed images have them, what the larger share is."""

    @abstractmethod
    def score(self, logits: Tensor, label: Tensor) -> Tensor:
        """The monitored metric of a whole split."""

    @staticmethod
    @abstractmethod
    def sureness(logits: Tensor, label: Tensor) -> Tensor:
        """How confident the wrong prediction of each image is (N,); 0 where all is right."""

    @staticmethod
    @abstractmethod
    def mistake(logits: Tensor, label: Tensor, names: Sequence[str]) -> str:
        """The most confident wrong prediction of one image in words; its logits (classes,) and its label."""

    @abstractmethod
    def balancing(self, of_class: Tensor, of_others: Tensor, chosen: str) -> Tensor:
        """The weights (classes,) of `balanced` or `effective`, of how many training images have each class or not."""

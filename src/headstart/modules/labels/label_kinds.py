"""The contract of a kind of labels: loss, metrics and mistakes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, ClassVar

from torch import Tensor, nn
from torchmetrics import Metric

from headstart.modules.losses.class_weights import class_counts, given_weights
from headstart.modules.losses.training_loss import Kind, TrainingLoss
from headstart.types import UserError

WORDS: dict[Kind, str] = {
    "one_label": "one class an image",
    "several_labels": "several labels an image",
    "numbers": "numbers as targets",
}


class Labels(nn.Module, ABC):
    """The loss, the metrics and the mistakes of a kind of labels.

    Args:
        num_classes: The classes of the labels.
        metric: The metric that is followed; None is the kind's own.
        loss: Stands in the place of the kind's own loss of training; it is called with logits and labels, where it is
            no TrainingLoss.

    Attributes:
        kind: What losses call it.
        own_metric: The metric that is followed where none is named.
        metric_names: The metrics that may be followed.
        monitor: The metric, without its split, that the best checkpoint, the report and plateaus follow.
        weight: Of the classes in the loss of training (C,), None = all alike; not in checkpoints, as the training
            images give it anew.

    Raises UserError where there is no such metric for these labels, or the loss is made for others.
    """

    kind: ClassVar[Kind]
    own_metric: ClassVar[str]
    metric_names: ClassVar[tuple[str, ...]]
    weight: Tensor | None

    def __init__(self, num_classes: int, *, metric: str | None = None, loss: Callable[..., Any] | None = None) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.monitor = metric or self.own_metric
        self.register_buffer("weight", None, persistent=False)
        if self.metric_of(self.monitor) is None:
            close = get_close_matches(self.monitor, self.metric_names, n=1)
            raise UserError(
                f"module.metric must be one of {', '.join(self.metric_names)} for {WORDS[self.kind]}, got "
                f"{metric}{f'; did you mean {close[0]}?' if close else ''}"
            )
        if isinstance(loss, TrainingLoss) and self.kind not in loss.kinds:
            raise UserError(
                f"module.loss {type(loss).__name__} is made for {' or '.join(WORDS[kind] for kind in loss.kinds)}, and "
                f"the target has {WORDS[self.kind]}; try module.loss=null"
            )
        if loss is not None and not callable(loss):
            raise UserError(
                f"module.loss must be null or a mapping with the _target_ of a loss, got {loss!r}; "
                "a file of conf/loss/ is chosen by loss@module.loss=focal"
            )
        self.chosen_loss = loss

    @abstractmethod
    def metric_of(self, name: str) -> Metric | None:
        """The metric of this name, None where these labels have none."""

    def followed(self, metrics: dict[str, Metric]) -> dict[str, Metric]:
        """The metrics with the one that is followed, where it is not among those of every batch or split."""
        if self.monitor in metrics or self.monitor in self.training_metrics():
            return metrics
        metric = self.metric_of(self.monitor)
        assert metric is not None  # asked when it was made
        return metrics | {self.monitor: metric}

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

    def score(self, logits: Tensor, label: Tensor) -> Tensor:
        """The monitored metric of a whole split."""
        metric = self.metric_of(self.monitor)
        assert metric is not None  # asked when it was made
        value: Tensor = metric.to(logits.device)(logits, self.decided(label))
        return value

    @staticmethod
    @abstractmethod
    def sureness(logits: Tensor, label: Tensor) -> Tensor:
        """How confident the wrong prediction of each image is (N,); 0 where all is right."""

    @staticmethod
    @abstractmethod
    def mistake(logits: Tensor, label: Tensor, names: Sequence[str]) -> str:
        """The most confident wrong prediction of one image in words; its logits (classes,) and its label."""

    def weigh(
        self, chosen: str | Sequence[float] | Mapping[str, float], label: Tensor, class_names: Sequence[str]
    ) -> None:
        """Take the weights of the classes: chosen by name, by which the training images' labels give them, or given."""
        if isinstance(chosen, str):
            counts = class_counts(label, class_names, chosen)
            weight = self.balancing(counts, len(label) - counts, chosen).float()
        else:
            weight = given_weights(chosen, class_names)
        self.weight = self.relative(weight, label)

    def relative(self, weight: Tensor, label: Tensor) -> Tensor:  # noqa: ARG002 - a kind may ask
        """Weights (classes,) such that the training images, whose labels these are, weigh 1 on average."""
        return weight

    @abstractmethod
    def balancing(self, of_class: Tensor, of_others: Tensor, chosen: str) -> Tensor:
        """The weights (classes,) of `balanced` or `effective`, of how many training images have each class or not."""

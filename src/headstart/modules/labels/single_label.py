"""Labels of images that have one class each."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError, MulticlassF1Score

from headstart.modules.labels.label_kinds import Labels
from headstart.modules.losses.class_weights import balanced, effective
from headstart.modules.losses.training_loss import TrainingLoss
from headstart.modules.metrics.single_label_metrics import NAMES, BalancedAccuracy, single_label_metric


class OneLabel(Labels):
    """Cross-entropy, and the share of right answers."""

    kind = "one_label"
    own_metric = "accuracy"
    metric_names = NAMES

    def metric_of(self, name: str) -> Metric | None:
        return single_label_metric(name, self.num_classes)

    def training_metrics(self) -> dict[str, Metric]:
        # unchecked: the data say what labels there are, and to look for others in each batch makes a GPU wait
        return {"accuracy": MulticlassAccuracy(self.num_classes, average="micro", validate_args=False)}

    def evaluation_metrics(self) -> dict[str, Metric]:
        classes = self.num_classes
        return self.followed(
            {
                "f1": MulticlassF1Score(classes, average="macro", validate_args=False),
                # counts what f1 counts, and shares it
                "balanced_accuracy": BalancedAccuracy(classes),
                "calibration_error": MulticlassCalibrationError(classes, n_bins=15, norm="l1", validate_args=False),
            }
        )

    def training_loss(self, logits: Tensor, label: Tensor, *, smoothing: float) -> Tensor:
        """The mean of the images' weighted terms, of labels (B,) and of shares (B, classes).

        torch's cross_entropy divides by the sum of the batch's weights instead. Then an image would count by its
        neighbours, and several small batches would not be one large batch.
        """
        if isinstance(self.chosen_loss, TrainingLoss):
            if not label.is_floating_point():
                label = one_hot(label, self.num_classes).to(logits.dtype)
            terms = self.chosen_loss.of_classes(logits, (1 - smoothing) * label + smoothing / self.num_classes)
            return (terms if self.weight is None else self.weight * terms).sum() / len(label)
        if self.chosen_loss is not None:
            value: Tensor = self.chosen_loss(logits, label)
            return value
        if self.weight is None:
            return cross_entropy(logits, label, label_smoothing=smoothing)
        # shares of the classes, a row an image: torch weights each class's term of a row by the class's weight
        total = cross_entropy(logits, label, weight=self.weight, label_smoothing=smoothing, reduction="sum")
        return total / len(label)

    def loss(self, logits: Tensor, label: Tensor) -> Tensor:
        return cross_entropy(logits, label)

    @staticmethod
    def decided(label: Tensor) -> Tensor:
        return label.argmax(dim=1) if label.is_floating_point() else label

    @staticmethod
    def sureness(logits: Tensor, label: Tensor) -> Tensor:
        probability, predicted = logits.softmax(dim=1).max(dim=1)
        return probability * (predicted != label)

    @staticmethod
    def mistake(logits: Tensor, label: Tensor, names: Sequence[str]) -> str:
        probability, predicted = logits.softmax(dim=0).max(dim=0)
        return f"{names[int(label)]} as {names[int(predicted)]} {float(probability):.2f}"

    def relative(self, weight: Tensor, label: Tensor) -> Tensor:
        return weight / weight[label].mean()

    def balancing(self, of_class: Tensor, of_others: Tensor, chosen: str) -> Tensor:  # noqa: ARG002 - a kind may ask
        return balanced(of_class) if chosen == "balanced" else effective(of_class)

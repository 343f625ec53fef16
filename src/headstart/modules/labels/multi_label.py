"""Labels of images that may each have several classes, or none."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torchmetrics import Metric

from headstart.modules.labels.label_kinds import Labels
from headstart.modules.losses.class_weights import effective_number
from headstart.modules.losses.training_loss import TrainingLoss
from headstart.modules.metrics.multi_label_metrics import LabelF1, MeanAveragePrecision, SubsetAccuracy
from headstart.modules.metrics.ranking_metrics import AreaUnderRoc


class SeveralLabels(Labels):
    """Binary cross-entropy of each class, and the mean of their average precisions.

    What a class's logit above 0 says is that the image is of it.
    """

    kind = "several_labels"
    own_metric = "map"
    metric_names = ("map", "f1", "f1_micro", "subset_accuracy", "auroc")

    def metric_of(self, name: str) -> Metric | None:
        if name == "auroc":
            return AreaUnderRoc(self.num_classes, softmax=False)
        return (self.training_metrics() | self._evaluation_metrics()).get(name)

    def training_metrics(self) -> dict[str, Metric]:
        return {"f1_micro": LabelF1(self.num_classes, average="micro")}

    def evaluation_metrics(self) -> dict[str, Metric]:
        return self.followed(self._evaluation_metrics())

    def _evaluation_metrics(self) -> dict[str, Metric]:
        return {
            "map": MeanAveragePrecision(self.num_classes),
            "f1": LabelF1(self.num_classes, average="macro"),
            "subset_accuracy": SubsetAccuracy(),
        }

    def training_loss(self, logits: Tensor, label: Tensor, *, smoothing: float) -> Tensor:
        """The mean over images and classes, positive terms times the class's weight; smoothing draws labels to 1/2."""
        wanted = (1 - smoothing) * label.to(logits.dtype) + smoothing / 2
        if isinstance(self.chosen_loss, TrainingLoss):
            having, lacking = self.chosen_loss.of_labels(logits, wanted)
            return ((having if self.weight is None else self.weight * having) + lacking).mean()
        if self.chosen_loss is not None:
            value: Tensor = self.chosen_loss(logits, wanted)
            return value
        return binary_cross_entropy_with_logits(logits, wanted, pos_weight=self.weight)

    def loss(self, logits: Tensor, label: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(logits, label.to(logits.dtype))

    @staticmethod
    def decided(label: Tensor) -> Tensor:
        return (label > 0.5).to(label.dtype)

    @staticmethod
    def sureness(logits: Tensor, label: Tensor) -> Tensor:
        """How likely its surest wrong label was to be right, by what the model said."""
        return (logits.abs().sigmoid() * ((logits > 0) != (label > 0.5))).amax(dim=1)

    @staticmethod
    def mistake(logits: Tensor, label: Tensor, names: Sequence[str]) -> str:
        at = int((logits.abs() * ((logits > 0) != (label > 0.5))).argmax())
        return f"{'no ' if logits[at] > 0 else ''}{names[at]}, said {float(logits[at].sigmoid()):.2f}"

    def balancing(self, of_class: Tensor, of_others: Tensor, chosen: str) -> Tensor:
        """How much more an image that has the class counts than one that has not; 1 where all have it."""
        if chosen == "balanced":
            return (of_others / of_class).where(of_others > 0, 1.0)
        return (effective_number(of_others) / effective_number(of_class)).where(of_others > 0, 1.0)

"""A backbone and a head, the loss and the metrics of each split, and their logging."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torchmetrics import MetricCollection

from headstart.adaptation.adaptation import Side
from headstart.backbones.stages import Backbone
from headstart.compat.lightning.lightning_hooks import QuickHookName
from headstart.modules.heads.classification_head import ClassificationHead
from headstart.modules.heads.number_head import NumberHead
from headstart.modules.labels.label_kinds import Labels
from headstart.modules.labels.number_targets import NumberTargets, units_of
from headstart.modules.metrics.epoch_mean import Mean
from headstart.types import Batch


class MeasuredClassifier(QuickHookName, LightningModule):
    """A classifier that is validated and tested, and measures the batches of its training.

    Logs <split>/loss; val and test without class weights and label smoothing. Of one label an image <split>/accuracy,
    and for val and test f1 (macro), balanced_accuracy and calibration_error (15 bins, L1). Of several labels
    <split>/f1_micro, and for val and test map (the mean of the classes' average precisions), f1 (macro) and
    subset_accuracy. Of numbers <split>/mae, and for val and test rmse and r2. Besides these the metric that is followed
    (module.metric).

    Args:
        backbone: Images to features, in stages.
        head: Features to logits.
        num_classes: The classes of the labels.
        labels: The kind of the labels: their loss, their metrics and the one that is followed.
    """

    def __init__(
        self, *, backbone: Backbone, head: ClassificationHead | NumberHead, num_classes: int, labels: Labels
    ) -> None:
        super().__init__()
        self.backbone, self.head, self.num_classes = backbone, head, num_classes
        self.labels = labels
        # nn.Module attributes, so that they follow the model to its device
        fuller = self.labels.training_metrics() | self.labels.evaluation_metrics()
        self.train_metrics = MetricCollection(dict(self.labels.training_metrics()), prefix="train/")
        self.val_metrics = MetricCollection(dict(fuller), prefix="val/").clone()
        self.test_metrics = MetricCollection(dict(fuller), prefix="test/").clone()
        self.train_loss, self.val_loss, self.test_loss = Mean(), Mean(), Mean()

    @property
    def stages(self) -> dict[str, nn.Module]:
        """The parts that a schedule makes trainable and freezes, from the input to the head."""
        return {**self.backbone.stages, "head": self.head}

    @property
    def monitor(self) -> str:
        """The metric that the best checkpoint, the report and plateaus follow."""
        return f"val/{self.labels.monitor}"

    @torch.no_grad()
    def scale_numbers(self, label: Tensor, columns: Sequence[str]) -> None:
        """Take the units of the training images' numbers (N, T); of classes there are none.

        Raises UserError where the numbers of a column do not differ.
        """
        if isinstance(self.labels, NumberTargets) and isinstance(self.head, NumberHead):
            mean, std = units_of(label, columns)
            self.labels.std.copy_(std)
            self.head.set_units(mean, std)

    def forward(self, image: Tensor, start: int = 0) -> Tensor:
        """Images (B, channels, H, W), or what enters stage `start` -> logits (B, num_classes)."""
        logits: Tensor = self.head(self.backbone(image, start=start))
        return logits

    def side(self, batch: Batch) -> Side:
        """What the model makes of a batch, in the mode that it is in; its label is None where it is hidden."""
        features = self.backbone(batch.image, start=batch.start)
        return Side(features, self.head(features), batch.label if isinstance(batch.label, Tensor) else None)

    def validation_step(self, batch: Batch, _: int) -> dict[str, Tensor | None]:
        return self._evaluate("val", batch)._asdict()  # as Lightning wants a mapping

    def test_step(self, batch: Batch, _: int) -> Tensor:
        return self._evaluate("test", batch).logits

    def on_validation_epoch_end(self) -> None:
        self._log_means("val")

    def on_test_epoch_end(self) -> None:
        self._log_means("test")

    def _evaluate(self, split: str, batch: Batch) -> Side:
        side = self.side(batch)
        self._measure(split, side.logits, batch.label, self.labels.loss(side.logits, batch.label))
        return side

    def _measure(self, split: str, logits: Tensor, label: Tensor, loss: Tensor) -> None:
        metrics, mean_loss = self._metrics_of(split)
        metrics.update(logits.detach(), self.labels.decided(label))
        mean_loss.update(loss.detach(), weight=len(label))

    def _log_means(self, split: str) -> None:
        """Log the metrics of all batches since the last time: once, as each logging costs a step of a head."""
        metrics, mean_loss = self._metrics_of(split)
        self.log_dict(metrics)
        self.log(f"{split}/loss", mean_loss)

    def _metrics_of(self, split: str) -> tuple[MetricCollection, Mean]:
        if split == "train":
            return self.train_metrics, self.train_loss
        return (self.val_metrics, self.val_loss) if split == "val" else (self.test_metrics, self.test_loss)

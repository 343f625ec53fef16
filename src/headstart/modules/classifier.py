"""What does a model learn from labelled images, and how well does it do?"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal

from annotated_types import Interval
from pytorch_lightning import LightningModule
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError, MulticlassF1Score

from headstart.backbones.stages import Backbone
from headstart.modules.groups import parameter_groups
from headstart.modules.head import LinearHead
from headstart.types import SPLITS, Batch

LENGTHS = ("T_max", "total_steps", "total_iters")  # what torch's schedulers call the length of the run


class Classifier(LightningModule):
    """A backbone and a head that learn by cross-entropy.

    optimizer: called with parameter groups; its `lr` is the head's. scheduler: called with the optimizer; a
    length (T_max, total_steps, total_iters) that is None becomes that of the run, in units of
    scheduler_interval. Logs <split>/loss and <split>/accuracy for train, val and test, and f1 (macro) and
    calibration_error (15 bins, L1) for val and test.
    """

    def __init__(
        self,
        *,
        backbone: Backbone,
        head: LinearHead,
        num_classes: int,
        optimizer: Callable[..., Optimizer],
        scheduler: Callable[..., LRScheduler],
        stage_decay: Annotated[float, Interval(gt=0, le=1)],
        label_smoothing: Annotated[float, Interval(ge=0, lt=1)],
        scheduler_interval: Literal["step", "epoch"],
    ) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        self.make_optimizer, self.make_scheduler = optimizer, scheduler
        self.stage_decay, self.label_smoothing = stage_decay, label_smoothing
        self.scheduler_interval = scheduler_interval
        accuracy = {"accuracy": MulticlassAccuracy(num_classes, average="micro")}
        fuller = accuracy | {
            "f1": MulticlassF1Score(num_classes, average="macro"),
            "calibration_error": MulticlassCalibrationError(num_classes, n_bins=15, norm="l1"),
        }
        # nn.Module attributes, so that they follow the model to its device
        self.train_metrics = MetricCollection(dict(accuracy), prefix="train/")
        self.val_metrics = MetricCollection(dict(fuller), prefix="val/").clone()
        self.test_metrics = MetricCollection(dict(fuller), prefix="test/").clone()
        for split in SPLITS:
            setattr(self, f"{split}_loss", MeanMetric())

    def forward(self, image: Tensor) -> Tensor:
        """Images (B, channels, H, W) -> logits (B, num_classes)."""
        logits: Tensor = self.head(self.backbone(image))
        return logits

    def training_step(self, batch: Batch, _: int) -> Tensor:
        logits = self(batch.image)
        loss = cross_entropy(logits, batch.label, label_smoothing=self.label_smoothing)
        self._measure("train", logits, batch.label, loss)
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        self._evaluate("val", batch)

    def test_step(self, batch: Batch, _: int) -> Tensor:
        return self._evaluate("test", batch)

    def configure_optimizers(self) -> Any:
        groups = parameter_groups(
            self.backbone, self.head, lr=_learning_rate(self.make_optimizer), stage_decay=self.stage_decay
        )
        optimizer = self.make_optimizer(groups)
        scheduler = self._with_length(self.make_scheduler)(optimizer)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": self.scheduler_interval},
        }

    def _evaluate(self, split: str, batch: Batch) -> Tensor:
        logits: Tensor = self(batch.image)
        self._measure(split, logits, batch.label, cross_entropy(logits, batch.label))
        return logits

    def _measure(self, split: str, logits: Tensor, label: Tensor, loss: Tensor) -> None:
        metrics, mean_loss = getattr(self, f"{split}_metrics"), getattr(self, f"{split}_loss")
        metrics.update(logits.detach(), label)
        mean_loss.update(loss.detach(), weight=len(label))
        self.log_dict(metrics, on_step=False, on_epoch=True)
        self.log(f"{split}/loss", mean_loss, on_step=False, on_epoch=True)

    def _with_length(self, make: Callable[..., LRScheduler]) -> Callable[..., LRScheduler]:
        open_ends = [key for key in LENGTHS if getattr(make, "keywords", {}).get(key, ...) is None]
        if not open_ends:
            return make
        steps = max(1, int(self.trainer.estimated_stepping_batches))
        length = steps if self.scheduler_interval == "step" else max(1, self.trainer.max_epochs or 1)
        return functools.partial(make, **dict.fromkeys(open_ends, length))


def _learning_rate(make_optimizer: Callable[..., Optimizer]) -> float:
    """The `lr` that an optimizer is to be made with: the one given, else its own default."""
    given = getattr(make_optimizer, "keywords", {})
    return float(given["lr"] if "lr" in given else inspect.signature(make_optimizer).parameters["lr"].default)

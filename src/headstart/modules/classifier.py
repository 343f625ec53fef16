"""What does a model learn from labelled images, and how well does it do?"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Annotated, Any, Literal

import torch
from annotated_types import Interval
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError, MulticlassF1Score

from headstart.backbones.stages import Backbone, pooled
from headstart.mix.mixing import Mixing
from headstart.modules.head import LinearHead
from headstart.modules.optimizers import learning_rate, optimizer_of
from headstart.modules.schedulers import scheduler_of
from headstart.regularizers.regularizer import Regularizer
from headstart.types import SPLITS, Batch, UserError
from headstart.unfreeze.groups import parameter_groups
from headstart.unfreeze.phases import Schedule


class Classifier(LightningModule):
    """A backbone and a head that learn by cross-entropy.

    optimizer: called with parameter groups (headstart.unfreeze.groups, which explains both decays); its `lr` is the
    head's. scheduler: called with the optimizer, its lengths and rates filled in as modules/schedulers.py says, in
    units of scheduler_interval. scheduler_monitor: the logged figure that ReduceLROnPlateau waits for, after each
    validation, whatever scheduler_interval says. regularizer: a term added to the loss. mix: of training images, as
    they enter the backbone, each device within its own batches; train/loss is then the cross-entropy with shares of
    classes, and a prediction right for train/accuracy where it is the class of the larger share.

    Logs <split>/loss (the cross-entropy alone) and <split>/accuracy for train, val and test, f1 (macro) and
    calibration_error (15 bins, L1) for val and test, and train/regularizer where there is one.
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
        layer_decay: Annotated[float, Interval(gt=0, le=1)],
        label_smoothing: Annotated[float, Interval(ge=0, lt=1)],
        scheduler_interval: Literal["step", "epoch"],
        scheduler_monitor: str,
        regularizer: Regularizer | None = None,
        mix: Mixing | None = None,
    ) -> None:
        super().__init__()
        self.backbone, self.head, self.regularizer = backbone, head, regularizer
        self.mix, self.num_classes = mix, num_classes
        self.make_optimizer, self.make_scheduler = optimizer, scheduler
        self.stage_decay, self.layer_decay, self.label_smoothing = stage_decay, layer_decay, label_smoothing
        self.scheduler_interval, self.scheduler_monitor = scheduler_interval, scheduler_monitor
        self.schedule: Schedule | None = None  # of the run: where it opens less than a stage, groups must be as fine
        # unchecked: the data say what labels there are, and to look for others in each batch makes a GPU wait
        accuracy = {"accuracy": MulticlassAccuracy(num_classes, average="micro", validate_args=False)}
        fuller = accuracy | {
            "f1": MulticlassF1Score(num_classes, average="macro", validate_args=False),
            "calibration_error": MulticlassCalibrationError(num_classes, n_bins=15, norm="l1", validate_args=False),
        }
        # nn.Module attributes, so that they follow the model to its device
        self.train_metrics = MetricCollection(dict(accuracy), prefix="train/")
        self.val_metrics = MetricCollection(dict(fuller), prefix="val/").clone()
        self.test_metrics = MetricCollection(dict(fuller), prefix="test/").clone()
        for split in SPLITS:
            setattr(self, f"{split}_loss", MeanMetric())
        if regularizer is not None:
            self.train_regularizer = MeanMetric()
            regularizer.prepare(self.stages)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_current_fx_name":  # Lightning's, a string, 48 times a step: torch looks whether it is a parameter
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    @property
    def stages(self) -> dict[str, nn.Module]:
        """The parts that a schedule opens and closes, from the input to the head."""
        return {**self.backbone.stages, "head": self.head}

    @property
    def beside(self) -> Mapping[str, nn.Module]:
        """Networks that are no part, by the part that each opens, closes and learns with."""
        return {} if self.regularizer is None else self.regularizer.beside(self.stages)

    def begin(self, from_source: Collection[str], source_head: Mapping[str, Tensor]) -> None:
        """Take note of the weights that a run starts with.

        from_source: the stages that have the source's. source_head: that of the source's own classes, or empty.
        """
        if self.regularizer is not None:
            self.regularizer.take_head(source_head)
            self.regularizer.begin(self.stages, from_source)

    @torch.no_grad()
    def look(self, data: Any) -> None:
        """Let the regularizer look at the training and validation images of a LightningDataModule, in eval()."""
        if self.regularizer is None:
            return

        def batches(split: str, *, stored: bool) -> Iterator[Batch]:
            for batch in data.plain_dataloader(split, stored=stored):
                yield self._entered(
                    batch._replace(image=batch.image.to(self.device), label=batch.label.to(self.device))
                )

        training = self.training
        self.eval()
        self.regularizer.look(self.stages, batches)
        self.train(training)

    def forward(self, image: Tensor, start: int = 0) -> Tensor:
        """Images (B, channels, H, W), or what enters stage `start` -> logits (B, num_classes)."""
        logits: Tensor = self.head(self.backbone(image, start=start))
        return logits

    def training_step(self, batch: Batch, number: int) -> Tensor:
        batch = self._mixed(batch, number)
        features, outputs = self._gone_through(batch)  # (B, D)
        logits = self.head(features)
        loss = cross_entropy(logits, batch.label, label_smoothing=self.label_smoothing)
        self._measure("train", logits, batch.label, loss)
        if self.regularizer is None:
            return loss
        entered = self._entered(batch)
        term: Tensor = self.regularizer(stages=self.stages, batch=entered, features=features, outputs=outputs)
        self.train_regularizer.update(term.detach())
        return loss + term

    def _mixed(self, batch: Batch, number: int) -> Batch:
        """The device's batch of this number in the epoch with its images mixed and normalised, its labels shares."""
        if self.mix is None or getattr(self.trainer, "overfit_batches", False):  # the same few each epoch, as they are
            return batch
        if batch.start:
            raise RuntimeError("what stages made of images cannot be mixed; please report this bug")
        image, share = self.mix(
            self.backbone.entering(batch.image),
            batch.label,
            classes=self.num_classes,
            epoch=self.current_epoch,
            batch=number * self.trainer.world_size + self.trainer.global_rank,
        )
        return batch._replace(image=image, label=share)

    def validation_step(self, batch: Batch, _: int) -> None:
        self._evaluate("val", batch)

    def test_step(self, batch: Batch, _: int) -> Tensor:
        return self._evaluate("test", batch)

    def on_train_epoch_end(self) -> None:
        self._log_means("train")
        if self.regularizer is not None:
            self.log("train/regularizer", self.train_regularizer)

    def on_validation_epoch_end(self) -> None:
        self._log_means("val")

    def on_test_epoch_end(self) -> None:
        self._log_means("test")

    def configure_optimizers(self) -> Any:
        groups = parameter_groups(
            self,
            lr=learning_rate(self.make_optimizer),
            stage_decay=self.stage_decay,
            layer_decay=self.layer_decay,
            schedule=self.schedule,
        )
        if self.regularizer is not None and self.regularizer.replaces_weight_decay:
            groups = [group | {"weight_decay": 0.0} for group in groups]
        optimizer = optimizer_of(self.make_optimizer, groups)
        scheduler = scheduler_of(self.make_scheduler, optimizer, length=self._length())
        if not isinstance(scheduler, ReduceLROnPlateau):
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": scheduler, "interval": self.scheduler_interval},
            }
        self._check_monitor()
        # where no validation was, the figure would be the old one, and count as no improvement
        every = self.trainer.check_val_every_n_epoch or 1
        plateau = {"scheduler": scheduler, "interval": "epoch", "frequency": every, "monitor": self.scheduler_monitor}
        return {"optimizer": optimizer, "lr_scheduler": plateau}

    def _entered(self, batch: Batch) -> Batch:
        """The batch with its images normalised, as they enter the first stage."""
        return batch if batch.start else batch._replace(image=self.backbone.entering(batch.image))

    def _gone_through(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The features (B, D) of a batch, and what each stage gave, as far as the regularizer asks for it."""
        if self.regularizer is None or not self.regularizer.reads_outputs:
            return self.backbone(batch.image, start=batch.start), {}
        outputs = self.backbone.outputs(batch.image, start=batch.start)
        return pooled(next(reversed(outputs.values()), batch.image)), outputs

    def _length(self) -> float:
        """Of the run, in the scheduler's steps; math.inf where it has no end."""
        if self.scheduler_interval == "epoch":
            epochs = self.trainer.max_epochs
            return math.inf if epochs is None or epochs < 0 else max(1, epochs)
        return max(1, self.trainer.estimated_stepping_batches)

    def _check_monitor(self) -> None:
        figures = [
            *("train/loss", *self.train_metrics.keys()), *("val/loss", *self.val_metrics.keys())
        ]  # fmt: skip
        if self.scheduler_monitor not in figures:
            raise UserError(
                f"module.scheduler_monitor must be a figure that is logged in training, got {self.scheduler_monitor}; "
                f"there are {', '.join(map(str, figures))}"
            )

    def _evaluate(self, split: str, batch: Batch) -> Tensor:
        logits: Tensor = self(batch.image, start=batch.start)
        self._measure(split, logits, batch.label, cross_entropy(logits, batch.label))
        return logits

    def _measure(self, split: str, logits: Tensor, label: Tensor, loss: Tensor) -> None:
        likeliest = label.argmax(dim=1) if label.is_floating_point() else label  # of shares
        getattr(self, f"{split}_metrics").update(logits.detach(), likeliest)
        getattr(self, f"{split}_loss").update(loss.detach(), weight=len(label))

    def _log_means(self, split: str) -> None:
        """The figures of all batches since the last time: handed over once, as each time costs a step of a head."""
        self.log_dict(getattr(self, f"{split}_metrics"))
        self.log(f"{split}/loss", getattr(self, f"{split}_loss"))

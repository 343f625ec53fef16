"""What does a model learn from labelled images, and how well does it do?"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import torch
import torch.distributed as dist
from annotated_types import Gt, Interval
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torchmetrics import MetricCollection

from headstart.adaptation.adaptation import Adaptation, Looked, Side
from headstart.backbones.stages import Backbone, pooled
from headstart.compat.lightning_hooks import QuickHookName
from headstart.compat.lightning_trainer import datamodule_of
from headstart.data.transforms.mix.batch_mixing import Mixing
from headstart.modules.batch_shares import step_shares
from headstart.modules.class_weights import given_weights
from headstart.modules.epoch_mean import Mean
from headstart.modules.head import LinearHead
from headstart.modules.label_kinds import Labels
from headstart.modules.multi_label import SeveralLabels
from headstart.modules.optimizers import learning_rate, optimizer_of
from headstart.modules.schedulers import scheduler_of
from headstart.modules.single_label import OneLabel
from headstart.regularizers.regularizer import Regularizer
from headstart.types import SPLITS, Batch, UserError
from headstart.unfreeze.parameter_groups import parameter_groups
from headstart.unfreeze.schedules.schedule_phases import Schedule

Shares = Mapping[str, float] | None  # of a batch in its optimizer step, by field: modules/batch_shares.py


class Classifier(QuickHookName, LightningModule):
    """A backbone and a head that learn by cross-entropy, where images have several labels by that of each class.

    optimizer: called with parameter groups (unfreeze/parameter_groups.py, which explains both decays); its `lr` is the
    head's. scheduler: called with the optimizer, its lengths and rates filled in as modules/schedulers.py says, in
    units of scheduler_interval. scheduler_monitor: the logged figure that ReduceLROnPlateau waits for, after each
    validation, whatever scheduler_interval says. class_weights: how much each class counts in the loss of training,
    by its training images (`balanced`, `effective`), or a list or mapping of weights (headstart.modules.class_weights);
    of several labels, how much more an image that has the class counts than one that has not. multi_label: whether
    an image may have several labels. regularizer: a term added to the loss. mix: of training images, as they enter the
    backbone, each device within its own batches; train/loss is then the cross-entropy with shares of classes, and a
    prediction right for train/accuracy where it is the class of the larger share. adaptation: another term, of each
    batch with its paired batch; source_classes: how many the source has. target_labels_share: of the loss on labels,
    that
    of the few labelled target images which come with each batch.

    Logs <split>/loss (without weights and smoothing for val and test) for train, val and test, and train/regularizer,
    train/adaptation, its strength and its measures where there is one, train/target_labels (a loss); of training
    images without labels neither loss nor accuracy. Of one label <split>/accuracy, and for val and
    test f1 (macro), balanced_accuracy and calibration_error (15 bins, L1). Of several f1_micro, and for val and test
    map (the mean of the classes' average precisions), f1 (macro) and subset_accuracy.
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
        class_weights: Literal["balanced", "effective"]
        | list[Annotated[float, Gt(0)]]
        | dict[str, Annotated[float, Gt(0)]]
        | None,
        scheduler_interval: Literal["step", "epoch"],
        scheduler_monitor: str,
        multi_label: bool = False,
        regularizer: Regularizer | None = None,
        mix: Mixing | None = None,
        adaptation: Adaptation | None = None,
        source_classes: int = 0,
        target_labels_share: Annotated[float, Interval(ge=0, le=1)] = 0.0,
    ) -> None:
        super().__init__()
        self.backbone, self.head, self.regularizer = backbone, head, regularizer
        self.mix, self.num_classes = mix, num_classes
        self.make_optimizer, self.make_scheduler = optimizer, scheduler
        self.stage_decay, self.layer_decay, self.label_smoothing = stage_decay, layer_decay, label_smoothing
        self.scheduler_interval, self.scheduler_monitor = scheduler_interval, scheduler_monitor
        self.schedule: Schedule | None = None  # of the run: where it opens less than a stage, groups must be as fine
        self.class_weights = class_weights
        self.labels: Labels = (SeveralLabels if multi_label else OneLabel)(num_classes)
        # nn.Module attributes, so that they follow the model to its device
        fuller = self.labels.figures() | self.labels.fuller_figures()
        self.train_metrics = MetricCollection(dict(self.labels.figures()), prefix="train/")
        self.val_metrics = MetricCollection(dict(fuller), prefix="val/").clone()
        self.test_metrics = MetricCollection(dict(fuller), prefix="test/").clone()
        for split in SPLITS:
            setattr(self, f"{split}_loss", Mean())
        if regularizer is not None:
            self.train_regularizer = Mean()
            regularizer.prepare(self.stages)
        self.adaptation, self.target_labels_share = adaptation, target_labels_share
        self.knows_labels = adaptation is None or adaptation.main != "unlabelled"  # of the training images
        self.steps = math.inf  # of the run
        self._looked_epoch = -1  # the last one before which the adaptation has looked at the training images
        if target_labels_share:
            self.train_target_labels = Mean()
        if adaptation is not None:
            adaptation.prepare(width=backbone.width, num_classes=num_classes, source_classes=source_classes)
            adaptation.stand_beside(self.stages)
            self.train_adaptation = nn.ModuleDict({name: Mean() for name in self._told(adaptation)})

    @property
    def stages(self) -> dict[str, nn.Module]:
        """The parts that a schedule opens and closes, from the input to the head."""
        return {**self.backbone.stages, "head": self.head}

    @property
    def beside(self) -> tuple[tuple[str, nn.Module], ...]:
        """(part, network): networks that are no part, and open, close and learn with one."""
        own = {} if self.regularizer is None else self.regularizer.beside(self.stages)
        return (*own.items(), *([] if self.adaptation is None else [("head", self.adaptation)]))

    @property
    def monitor(self) -> str:
        """The figure that says how good the model is: the best checkpoint, the report and plateaus follow it."""
        return f"val/{self.labels.monitor}"

    def weigh(self, label: Tensor, class_names: Sequence[str]) -> None:
        """Take note of the training images' labels, where classes count by them, before fit.

        Raises UserError where class_weights does not fit the classes, or a class has no image.
        """
        if self.class_weights is None:
            return
        if not isinstance(self.class_weights, str):
            self.labels.weight = given_weights(self.class_weights, class_names)
            return
        of_class = label.sum(dim=0) if label.ndim > 1 else torch.bincount(label, minlength=len(class_names))
        if (of_class == 0).any():
            raise UserError(
                f"module.class_weights={self.class_weights} needs a training image of each class, there is none of "
                f"{class_names[int(of_class.argmin())]}; give a list or a mapping of weights"
            )
        of_class = of_class.double()
        weight = self.labels.balancing(of_class, len(label) - of_class, self.class_weights)
        self.labels.weight = weight.float()

    def loss(self, logits: Tensor, label: Tensor) -> Tensor:
        """That of training: label as in a Batch, or shares of the classes (B, classes), float."""
        return self.labels.training_loss(logits, label, smoothing=self.label_smoothing)

    def begin(self, from_source: Collection[str], source_head: Mapping[str, Tensor]) -> None:
        """Take note of the weights that a run starts with.

        from_source: the stages that have the source's. source_head: that of the source's own classes, or empty.
        """
        if self.regularizer is not None:
            self.regularizer.take_head(source_head)
            self.regularizer.begin(self.stages, from_source)
        if self.adaptation is not None:
            self.adaptation.begin(self.stages, from_source)

    @torch.no_grad()
    def conclude(self, data: Any) -> bool:
        """Let the adaptation change the model that is to be tested -> whether it does; the model is in eval() then.

        data: has the target's images as `hidden`, as data/datasets/paired_domains.py's Domains does. All devices get
        what rank 0 got.
        """
        if self.adaptation is None or not self.adaptation.concludes:
            return False

        def run() -> None:
            for batch in data.hidden.plain_dataloader("train"):
                self.backbone(batch.image.to(self.device), start=batch.start)

        self.eval()
        self.adaptation.conclude(self.stages, run)
        _take_rank_zeros(self)
        return True

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
        if self.adaptation is not None and self.adaptation.looks and self._looked_epoch != self.current_epoch:
            self._show_training_images(self.adaptation)
        shares = step_shares(self.trainer, number, len(batch.label))
        batch = self._mixed(batch, number)
        if self.regularizer is not None:  # it wants images as they enter; the backbone leaves them as they are then
            batch = self._entered(batch)
        features, outputs = self._gone_through(batch)  # (B, D)
        logits = self.head(features)
        loss = self._label_loss(batch, logits, shares)
        if self.adaptation is not None:
            main = Side(features, logits, batch.label if self.knows_labels else None, batch.position)
            loss = self._adapted(self.adaptation, loss, batch, main, shares)
        if self.regularizer is None:
            return loss
        term: Tensor = self.regularizer(stages=self.stages, batch=batch, features=features, outputs=outputs)
        self.train_regularizer.update(term.detach())
        return loss + _in_step(term, shares, "image")

    def _label_loss(self, batch: Batch, logits: Tensor, shares: Shares) -> Tensor:
        """The loss on the batch's labels, where there are any, and on those of few target images that come along."""
        loss = logits.new_zeros(())
        if self.knows_labels:
            loss = self.loss(logits, batch.label)
            self._measure("train", logits, batch.label, loss)
            loss = _in_step(loss, shares, "image")
        few = batch.labelled
        if few is None:
            return loss
        of_target = self.loss(self(few.image, start=few.start), few.label)
        self.train_target_labels.update(of_target.detach())
        return (1 - self.target_labels_share) * loss + self.target_labels_share * _in_step(
            of_target, shares, "labelled"
        )

    @torch.no_grad()
    def _show_training_images(self, adaptation: Adaptation) -> None:
        """Let the adaptation look at them, each device at its share, all with the running statistics of rank 0.

        Not in a hook of Lightning's: those of an epoch's beginning do not come in every resumed run.
        """
        data = datamodule_of(self.trainer)
        images, devices = data.sizes["train"], self.trainer.world_size
        learning = [module for module in self.modules() if module.training]
        _take_rank_zeros(self.backbone)
        self.eval()
        features, logits, positions = [], [], []
        share = np.arange(self.trainer.global_rank, images, devices)
        for batch in data.plain_dataloader("train", share, stored=True):
            features.append(self.backbone(batch.image.to(self.device), start=batch.start))
            logits.append(self.head(features[-1]))
            positions.append(batch.position.to(self.device))
        for module in learning:
            module.training = True
        total = _total if devices > 1 else _itself
        adaptation.look(Looked(torch.cat(features), torch.cat(logits), torch.cat(positions), images, total))
        self._looked_epoch = self.current_epoch

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["looked_epoch"] = self._looked_epoch

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._looked_epoch = checkpoint.get("looked_epoch", -1)

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

    def _adapted(self, adaptation: Adaptation, loss: Tensor, batch: Batch, main: Side, shares: Shares) -> Tensor:
        """The loss with the term of a batch and its paired batch."""
        if not adaptation.has_term:
            return loss
        beside = self._beside(adaptation, batch.paired if adaptation.reads_paired else None, main)
        main, beside = self._of_all_devices(main), self._of_all_devices(beside)
        source, target = (main, beside) if adaptation.main == "source" else (beside, main)
        strength = adaptation.strength(min(1.0, self.trainer.global_step / self.steps))
        term: Tensor = adaptation(source=source, target=target, head=self.head, strength=strength)
        values: dict[str, Tensor | float] = {"adaptation": term.detach(), "adaptation_strength": strength}
        values |= adaptation.figures
        for name, metric in self._adaptation_metrics():
            metric.update(values[name])
        term = _in_step(term, shares, "image" if batch.paired is None else "paired")
        return loss + term if adaptation.learns_labels else term

    def _beside(self, adaptation: Adaptation, paired: Batch | None, main: Side) -> Side:
        """What the model makes of the paired batch; of none, a side without images."""
        if paired is None:
            return Side(main.features[:0], main.logits[:0], None)
        features = adaptation.paired_features(self.backbone, paired)
        label = None if adaptation.main == "source" else paired.label
        return Side(features, self.head(features), label, paired.position)

    def _of_all_devices(self, side: Side) -> Side:
        """The images of the global batch in its order: a term is no mean over images. Gradients go to all devices."""
        if self.trainer.world_size == 1:
            return side
        label, position = (None if part is None else self._gathered(part) for part in (side.label, side.position))
        return Side(self._gathered(side.features), self._gathered(side.logits), label, position)

    def _gathered(self, part: Tensor) -> Tensor:
        of_each = self.all_gather(part, sync_grads=part.is_floating_point())  # (devices, B, ...)
        assert isinstance(of_each, Tensor)
        return of_each.transpose(0, 1).flatten(0, 1)  # device r has every devices-th image from its r-th on

    def _adaptation_metrics(self) -> list[tuple[str, Mean]]:
        return [(name, metric) for name, metric in self.train_adaptation.items() if isinstance(metric, Mean)]

    @staticmethod
    def _told(adaptation: Adaptation) -> tuple[str, ...]:
        return ("adaptation", "adaptation_strength", *adaptation.measures) if adaptation.has_term else ()

    def side(self, batch: Batch) -> Side:
        """What the model makes of a batch, in the mode that it is in; its label is None where it is hidden."""
        features = self.backbone(batch.image, start=batch.start)
        return Side(features, self.head(features), batch.label if isinstance(batch.label, Tensor) else None)

    def validation_step(self, batch: Batch, _: int) -> dict[str, Tensor | None]:
        return self._evaluate("val", batch)._asdict()  # as Lightning wants a mapping

    def test_step(self, batch: Batch, _: int) -> Tensor:
        return self._evaluate("test", batch).logits

    def on_train_epoch_end(self) -> None:
        if self.knows_labels:
            self._log_means("train")
        if self.target_labels_share:
            self.log("train/target_labels", self.train_target_labels)
        if self.regularizer is not None:
            self.log("train/regularizer", self.train_regularizer)
        if self.adaptation is not None:
            for name, metric in self._adaptation_metrics():
                self.log(f"train/{name}", metric)

    def on_validation_epoch_end(self) -> None:
        self._log_means("val")

    def on_test_epoch_end(self) -> None:
        self._log_means("test")

    def configure_optimizers(self) -> Any:
        if self.adaptation is not None:
            self.steps = self._steps_of(self.adaptation)
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

    def _steps_of(self, adaptation: Adaptation) -> float:
        steps = max(1, self.trainer.estimated_stepping_batches)
        if adaptation.ramp != "constant" and math.isinf(steps):
            raise UserError(
                f"adaptation.ramp={adaptation.ramp} grows with the share of the run that is done, and this one has no "
                "end; set trainer.max_epochs or trainer.max_steps, or take adaptation.ramp=constant"
            )
        return steps

    def _length(self) -> float:
        """Of the run, in the scheduler's steps; math.inf where it has no end."""
        if self.scheduler_interval == "epoch":
            epochs = self.trainer.max_epochs
            return math.inf if epochs is None or epochs < 0 else max(1, epochs)
        return max(1, self.trainer.estimated_stepping_batches)

    def _check_monitor(self) -> None:
        figures = [
            *(("train/loss", *self.train_metrics.keys()) if self.knows_labels else ()),
            *("val/loss", *self.val_metrics.keys()),
        ]  # fmt: skip
        if self.scheduler_monitor not in figures:
            raise UserError(
                f"module.scheduler_monitor must be a figure that is logged in training, got {self.scheduler_monitor}; "
                f"there are {', '.join(map(str, figures))}"
            )

    def _evaluate(self, split: str, batch: Batch) -> Side:
        side = self.side(batch)
        self._measure(split, side.logits, batch.label, self.labels.loss(side.logits, batch.label))
        return side

    def _measure(self, split: str, logits: Tensor, label: Tensor, loss: Tensor) -> None:
        getattr(self, f"{split}_metrics").update(logits.detach(), self.labels.decided(label))
        getattr(self, f"{split}_loss").update(loss.detach(), weight=len(label))

    def _log_means(self, split: str) -> None:
        """The figures of all batches since the last time: handed over once, as each time costs a step of a head."""
        self.log_dict(getattr(self, f"{split}_metrics"))
        self.log(f"{split}/loss", getattr(self, f"{split}_loss"))


def _in_step(term: Tensor, shares: Shares, field: str) -> Tensor:
    """A term of the loss as it counts in its optimizer step; field: of the batch, whose images it is the mean of."""
    return term if shares is None else term * shares.get(field, shares["image"])


def _take_rank_zeros(module: nn.Module) -> None:
    """All devices take rank 0's buffers: running statistics are each rank's own while it trains."""
    if dist.is_initialized():
        for buffer in module.buffers():
            dist.broadcast(buffer, src=0)


def _total(part: Tensor) -> Tensor:
    """The sum of a tensor over all devices."""
    whole = part.clone()
    dist.all_reduce(whole)
    return whole


def _itself(part: Tensor) -> Tensor:
    return part

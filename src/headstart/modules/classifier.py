"""Training of a classifier: cross-entropy, a regularizer, an adaptation, optimizer and scheduler."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Interval
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from headstart.adaptation.adaptation import Adaptation, Side
from headstart.backbones.stages import Backbone
from headstart.data.transforms.mix.batch_mixing import Mixing
from headstart.modules.adapted_training import AdaptedTraining
from headstart.modules.heads.classification_head import ClassificationHead
from headstart.modules.labels.label_choice import labels_of
from headstart.modules.measured_classifier import MeasuredClassifier
from headstart.modules.metrics.epoch_mean import Mean
from headstart.modules.optimization.batch_weighting import Shares, in_step, step_shares
from headstart.modules.optimization.optimizers import learning_rate, optimizer_of
from headstart.modules.optimization.schedulers import lightning_scheduler, run_length, scheduler_of
from headstart.regularizers.regularizer import Regularizer
from headstart.system.metric_direction import best_mode
from headstart.types import Batch
from headstart.unfreeze.parameter_groups import parameter_groups
from headstart.unfreeze.schedules.schedule_phases import BatchNormPolicy, Schedule


class Classifier(MeasuredClassifier):
    """A backbone and a head that learn by cross-entropy, where images have several labels by that of each class.

    Logs, besides the metrics of MeasuredClassifier, train/regularizer, train/adaptation with its strength and its
    measures, and train/target_labels (a loss), where there are such. Of training images without labels it logs neither
    loss nor accuracy. With `mix`, train/loss is the cross-entropy with shares of classes, and a prediction is right for
    train/accuracy where it is the class of the larger share.

    Args:
        backbone: Images to features, in stages.
        head: Features to logits.
        num_classes: The classes of the labels.
        optimizer: Called with parameter groups (unfreeze/parameter_groups.py explains decays); its `lr` is the head's.
        scheduler: Called with the optimizer, its lengths and rates filled in as modules/optimization/schedulers.py
            says, in units of scheduler_interval.
        stage_decay: The learning rate of a stage, as a share of that of the stage above it.
        layer_decay: The same from layer to layer, within stages too.
        label_smoothing: The share of each label that is spread over all classes.
        class_weights: How much each class counts in the loss of training: by its training images (`balanced`,
            `effective`), or a list or a mapping of weights (modules/losses/class_weights.py). Of several labels, how
            much more an image that has the class counts than one that has not.
        batch_norm: What BatchNorm learns in trainable stages with the source's weights (unfreeze/batch_norm_policy.py).
        backbone_lr_ratio: The learning rate of all stages over that of the head, before the decays.
        backbone_warmup_steps: Optimizer steps over which rates of stages rise from 0 (callbacks/training/unfreeze.py).
        scheduler_interval: How often the scheduler advances.
        scheduler_monitor: The logged metric that ReduceLROnPlateau waits for, after each validation, whatever
            scheduler_interval says.
        metric: What best checkpoint, plateaus and report follow of val; None: accuracy, of several labels map, of a
            number mae, of several r2.
        loss: Stands in the place of the cross-entropy in training (modules/losses/), of numbers in that of Huber's.
        multi_label: Whether an image may have several labels.
        regression: Whether the targets are numbers, num_classes of them, and the head a NumberHead.
        regularizer: A term that is added to the loss.
        mix: Mixes training images as they enter the backbone, each device within its own batches.
        adaptation: A term of each batch with its paired batch.
        source_classes: The classes of the source, for an adaptation.
        target_labels_share: The share of the few labelled target images, which come with each batch, in the loss.
    """

    def __init__(
        self,
        *,
        backbone: Backbone,
        head: ClassificationHead,
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
        batch_norm: BatchNormPolicy = "learning",
        metric: str | None = None,
        loss: Callable[..., Any] | None = None,
        backbone_lr_ratio: Annotated[float, Interval(gt=0, le=1)] = 1.0,
        backbone_warmup_steps: Annotated[int, Ge(0)] = 0,
        multi_label: bool = False,
        regression: bool = False,
        regularizer: Regularizer | None = None,
        mix: Mixing | None = None,
        adaptation: Adaptation | None = None,
        source_classes: int = 0,
        target_labels_share: Annotated[float, Interval(ge=0, le=1)] = 0.0,
    ) -> None:
        labels = labels_of(
            num_classes, multi_label=multi_label, regression=regression, metric=metric, loss=loss,
            is_weighted=bool(class_weights) or label_smoothing > 0,
        )  # fmt: skip
        super().__init__(backbone=backbone, head=head, num_classes=num_classes, labels=labels)
        self.make_optimizer, self.make_scheduler = optimizer, scheduler
        self.stage_decay, self.layer_decay, self.label_smoothing = stage_decay, layer_decay, label_smoothing
        self.scheduler_interval, self.scheduler_monitor = scheduler_interval, scheduler_monitor
        self.batch_norm, self.backbone_lr_ratio = batch_norm, backbone_lr_ratio
        self.backbone_warmup_steps = backbone_warmup_steps
        self.schedule: Schedule | None = None  # of the run: where it trains less than a stage, groups must be as fine
        self.class_weights, self.mix, self.regularizer = class_weights, mix, regularizer
        if regularizer is not None:
            self.train_regularizer = Mean()
            regularizer.prepare(self.stages)
        self.adaptation, self.target_labels_share = adaptation, target_labels_share
        self.knows_labels = adaptation is None or adaptation.main != "unlabelled"  # of the training images
        if target_labels_share:
            self.train_target_labels = Mean()
        self.adapted: AdaptedTraining | None = None
        if adaptation is not None:
            adaptation.prepare(width=backbone.width, num_classes=num_classes, source_classes=source_classes)
            adaptation.stand_beside(self.stages)
            self.adapted = AdaptedTraining(adaptation, self, backbone, head)
            self.train_adaptation = nn.ModuleDict({name: Mean() for name in self.adapted.metric_names})

    @property
    def beside(self) -> tuple[tuple[str, nn.Module], ...]:
        """(part, network): networks that are no part, and are trainable, frozen and learn with one."""
        networks = {} if self.regularizer is None else self.regularizer.beside(self.stages)
        return (*networks.items(), *([] if self.adaptation is None else [("head", self.adaptation)]))

    def weigh(self, label: Tensor, class_names: Sequence[str]) -> None:
        """Take note of the training images' labels, where classes count by them or numbers are scaled, before fit.

        Raises UserError where class_weights does not fit the classes, a class has no image, or numbers do not differ.
        """
        self.scale_numbers(label, class_names)
        if self.class_weights is not None:
            self.labels.weigh(self.class_weights, label, class_names)

    def begin(self, from_source: Collection[str], source_head: Mapping[str, Tensor]) -> None:
        """Take note of the weights that a run starts with.

        Args:
            from_source: The stages that have the source's.
            source_head: That of the source's own classes, or empty.
        """
        if self.regularizer is not None:
            self.regularizer.take_head(source_head)
            self.regularizer.begin(self.stages, from_source)
        if self.adaptation is not None:
            self.adaptation.begin(self.stages, from_source)

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

    def finalize(self, data: Any) -> bool:
        """Let the adaptation change the model that is to be tested -> whether it does (AdaptedTraining.finalize)."""
        return self.adapted is not None and self.adapted.finalize(data, self.stages)

    def loss(self, logits: Tensor, label: Tensor) -> Tensor:
        """That of training: label as in a Batch, or shares of the classes (B, classes), float."""
        return self.labels.training_loss(logits, label, smoothing=self.label_smoothing)

    def training_step(self, batch: Batch, number: int) -> Tensor:
        if self.adapted is not None:
            self.adapted.look_if_due()
        shares = step_shares(self.trainer, number, len(batch.label))
        batch = self._mixed(batch, number)
        if self.regularizer is not None:  # it wants images as they enter; the backbone leaves them as they are then
            batch = self._entered(batch)
        features, outputs = self._gone_through(batch)  # (B, D)
        logits = self.head(features)
        loss = self._label_loss(batch, logits, shares)
        if self.adapted is not None and self.adapted.adaptation.has_term:
            main = Side(features, logits, batch.label if self.knows_labels else None, batch.position)
            loss = self._adapted_loss(self.adapted, loss, batch, main, shares)
        if self.regularizer is None:
            return loss
        term: Tensor = self.regularizer(stages=self.stages, batch=batch, features=features, outputs=outputs)
        self.train_regularizer.update(term.detach())
        return loss + in_step(term, shares, "image")

    def _label_loss(self, batch: Batch, logits: Tensor, shares: Shares) -> Tensor:
        """The loss on the batch's labels, where there are any, and on those of few target images that come along."""
        loss = logits.new_zeros(())
        if self.knows_labels:
            loss = self.loss(logits, batch.label)
            self._measure("train", logits, batch.label, loss)
            loss = in_step(loss, shares, "image")
        few = batch.labelled
        if few is None:
            return loss
        of_target = self.loss(self(few.image, start=few.start), few.label)
        self.train_target_labels.update(of_target.detach())
        share = self.target_labels_share
        return (1 - share) * loss + share * in_step(of_target, shares, "labelled")

    def _adapted_loss(self, adapted: AdaptedTraining, loss: Tensor, batch: Batch, main: Side, shares: Shares) -> Tensor:
        """The loss with the term of a batch and its paired batch."""
        term, metrics = adapted.term(batch, main)
        for name, mean in self._adaptation_means():
            mean.update(metrics[name])
        term = in_step(term, shares, "image" if batch.paired is None else "paired")
        return loss + term if adapted.adaptation.learns_labels else term

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

    def _entered(self, batch: Batch) -> Batch:
        """The batch with its images normalised, as they enter the first stage."""
        return batch if batch.start else batch._replace(image=self.backbone.entering(batch.image))

    def _gone_through(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The features (B, D) of a batch, and what each stage gave, as far as the regularizer asks for it."""
        if self.regularizer is None or not self.regularizer.reads_outputs:
            return self.backbone(batch.image, start=batch.start), {}
        outputs = self.backbone.outputs(batch.image, start=batch.start)
        return self.backbone.to_head(next(reversed(outputs.values()), batch.image)), outputs

    # ------------------------------------------------------------------ Lightning's hooks

    def on_train_epoch_end(self) -> None:
        if self.knows_labels:
            self._log_means("train")
        if self.target_labels_share:
            self.log("train/target_labels", self.train_target_labels)
        if self.regularizer is not None:
            self.log("train/regularizer", self.train_regularizer)
        for name, mean in self._adaptation_means():
            self.log(f"train/{name}", mean)

    def _adaptation_means(self) -> list[tuple[str, Mean]]:
        means = self.train_adaptation.items() if self.adaptation is not None else ()
        return [(name, mean) for name, mean in means if isinstance(mean, Mean)]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["looked_epoch"] = self.adapted.looked_epoch if self.adapted is not None else -1

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.adapted is not None:
            self.adapted.looked_epoch = checkpoint.get("looked_epoch", -1)

    def configure_optimizers(self) -> Any:
        if self.adapted is not None:
            self.adapted.set_length(self.trainer)
        groups = parameter_groups(
            self,
            lr=learning_rate(self.make_optimizer),
            stage_decay=self.stage_decay,
            layer_decay=self.layer_decay,
            backbone_lr_ratio=self.backbone_lr_ratio,
            schedule=self.schedule,
        )
        if self.regularizer is not None and self.regularizer.replaces_weight_decay:
            groups = [group | {"weight_decay": 0.0} for group in groups]
        optimizer = optimizer_of(self.make_optimizer, groups)
        length = run_length(self.trainer, self.scheduler_interval)
        scheduler = scheduler_of(
            self.make_scheduler, optimizer, length=length, plateau_mode=best_mode(self.scheduler_monitor)
        )
        of_training = ("train/loss", *self.train_metrics.keys()) if self.knows_labels else ()
        settings = lightning_scheduler(
            scheduler,
            interval=self.scheduler_interval,
            monitor=self.scheduler_monitor,
            metrics=[str(name) for name in (*of_training, "val/loss", *self.val_metrics.keys())],
            validates_every=self.trainer.check_val_every_n_epoch or 1,
        )
        return {"optimizer": optimizer, "lr_scheduler": settings}

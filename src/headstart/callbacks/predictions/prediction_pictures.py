"""Pictures of the confusion matrix, and of the most confident wrong predictions."""

from __future__ import annotations

from textwrap import fill
from typing import Annotated, Any, NamedTuple

import torch
import torch.distributed as dist
from annotated_types import Ge
from matplotlib.figure import Figure
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

from headstart.backbones.denormalise import denormalised
from headstart.callbacks.loggers.logged_pictures import show_figures, take_pictures
from headstart.callbacks.predictions.number_pictures import numbers_figure
from headstart.compat.lightning_trainer import datamodule_of
from headstart.data.data_protocols import is_regression
from headstart.evaluation.confidence.abstention_picture import abstention_figure
from headstart.evaluation.confidence.risk_coverage import area_under_risk, coverage_curve
from headstart.modules.classifier import Classifier
from headstart.modules.labels.label_kinds import Labels
from headstart.modules.labels.multi_label import SeveralLabels
from headstart.modules.labels.number_targets import NumberTargets
from headstart.modules.labels.single_label import OneLabel
from headstart.modules.metrics.multi_label_metrics import label_scores
from headstart.selection.score_inputs import Sides
from headstart.types import Batch

LETTERS, LINES = 25, 3  # of a title
KINDS: dict[int, type[Labels]] = {1: OneLabel, 2: SeveralLabels}  # by the dimensions of the labels of several images


class _Predictions(NamedTuple):
    """What was said of some images, and what was true."""

    logits: Tensor  # (N, classes)
    labels: Tensor  # (N,) or (N, classes)


class _Wrong(NamedTuple):
    """The same of images that were predicted wrong, and the images."""

    logits: Tensor
    labels: Tensor
    images: Tensor  # (N,) their positions in the split, or (N, channels, H, W) where these are not known

    @classmethod
    def none(cls) -> _Wrong:
        return cls(torch.empty(0), torch.empty(0), torch.empty(0))


class Figures(Callback):
    """At the end of the test: test/confusion, test/abstention and test/wrong (the surest wrong) as the loggers' images.

    The abstention is the accuracy on the surest answers against their share. Where an image may have several labels,
    test/labels (each class's scores) stands for the first two, and where targets are numbers test/numbers (predicted
    against true), with the largest errors in test/wrong. Of the images
    of all ranks together. Of a run that adapts also val/confusion, at the end of fit: the source's at the last
    validation; called by DomainPredictions. The datamodule's class_names stand beside the images.

    Args:
        wrong: How many wrong predictions to show; 0 means none.
    """

    def __init__(self, *, wrong: Annotated[int, Ge(0)]) -> None:
        self.wrong = wrong
        self._seen: list[_Predictions] = []
        self._wrong = _Wrong.none()
        self._source_val: _Predictions | None = None
        self._kind: type[Labels] = OneLabel

    def on_both_sides(self, trainer: Trainer, pl_module: LightningModule, sides: Sides) -> None:
        assert sides.source_val.label is not None
        self._source_val = _Predictions(sides.source_val.logits, sides.source_val.label)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._source_val is not None and trainer.is_global_zero:
            names: tuple[str, ...] = datamodule_of(trainer).class_names
            if take_pictures(trainer.loggers):
                figures = {"val/confusion": confusion_figure(*self._source_val, names)}
                show_figures(trainer.loggers, figures, trainer.global_step)
        self._source_val = None

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._seen, self._wrong = [], _Wrong.none()

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        logits, labels = outputs.float().cpu(), batch.label.cpu()
        self._seen.append(_Predictions(logits, labels))
        self._kind = kind_of(labels, numbers=is_regression(datamodule_of(trainer)))
        missed = self._kind.sureness(logits, labels) > 0
        shown = batch.image if batch.position is None else batch.position
        wrong_images = shown[missed.to(shown.device)].cpu()
        self._wrong = _surest(
            [self._wrong, _Wrong(logits[missed], labels[missed], wrong_images)], self.wrong, self._kind
        )

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Classifier)
        if not take_pictures(trainer.loggers):
            return
        everywhere = _gathered((self._seen, self._wrong), trainer)
        batches = [part for of_rank, _ in everywhere for part in of_rank]
        if not trainer.is_global_zero or not batches:
            return
        logits, labels = (torch.cat(part) for part in zip(*batches, strict=True))
        numbers = is_regression(datamodule_of(trainer))
        kind = kind_of(labels, numbers=numbers)
        wrong = _surest([of_rank for _, of_rank in everywhere], self.wrong, kind)
        names: tuple[str, ...] = datamodule_of(trainer).class_names
        figures = (
            {"test/confusion": confusion_figure(logits, labels, names), "test/abstention": _abstention(logits, labels)}
            if labels.ndim == 1
            else {"test/numbers": numbers_figure(logits, labels, names)}
            if numbers
            else {"test/labels": labels_figure(logits, labels, names)}
        )
        if len(wrong.images):
            images = denormalised(_images(wrong.images, datamodule_of(trainer)), pl_module.backbone.pixels)
            figures["test/wrong"] = wrong_figure(images, wrong.logits, wrong.labels, names, self.wrong, kind)
        show_figures(trainer.loggers, figures, trainer.global_step)


def _abstention(logits: Tensor, labels: Tensor) -> Figure:
    probability, predicted = logits.softmax(dim=1).max(dim=1)
    sure, right = probability.numpy(), (predicted == labels).numpy()
    return abstention_figure(coverage_curve(sure, right), area_under_risk(sure, right))


def _images(images: Tensor, data: Any) -> Tensor:
    """The images themselves (N, channels, H, W), of the test split where these are positions (N,)."""
    if images.ndim > 1:
        return images
    return torch.cat([batch.image for batch in data.plain_dataloader("test", positions=images.numpy())])


def kind_of(labels: Tensor, *, numbers: bool) -> type[Labels]:
    """The kind of labels (N,), (N, classes) or, of numbers, (N, columns)."""
    return NumberTargets if numbers else KINDS[labels.ndim]


def _surest(parts: list[_Wrong], count: int, kind: type[Labels] | None = None) -> _Wrong:
    """The `count` surest wrong predictions of several lists, the surest first; kind: None is of classes."""
    filled = [part for part in parts if len(part.labels)]
    if not filled:
        return _Wrong.none()
    logits, labels, images = (torch.cat(part) for part in zip(*filled, strict=True))
    order = (kind or KINDS[labels.ndim]).sureness(logits, labels).argsort(descending=True, stable=True)[:count]
    return _Wrong(logits[order], labels[order], images[order])


def _gathered(own: Any, trainer: Trainer) -> list[Any]:
    """What every rank has, in their order, on rank 0; elsewhere this rank's own."""
    if trainer.world_size == 1:
        return [own]
    everywhere: list[Any] | None = [None] * trainer.world_size if trainer.is_global_zero else None
    dist.gather_object(own, everywhere)
    return [own] if everywhere is None else everywhere


def confusion_figure(logits: Tensor, labels: Tensor, names: tuple[str, ...]) -> Figure:
    """Logits (N, C), labels (N,) -> a picture: true classes in rows, predicted ones in columns, counts as numbers."""
    counts = multiclass_confusion_matrix(logits, labels, num_classes=len(names))
    shares = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
    side = max(4.0, 0.32 * len(names) + 1.5)
    figure = Figure(figsize=(side, side), layout="tight")
    axes = figure.add_subplot()
    axes.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted", ylabel="true", xticks=range(len(names)), yticks=range(len(names)))
    axes.set_xticklabels(names)
    axes.set_yticklabels(names)
    if len(names) <= 20:  # more of them cannot be read
        for row in range(len(names)):
            for column in range(len(names)):
                if counts[row, column]:
                    colour = "white" if shares[row, column] > 0.5 else "black"
                    axes.text(
                        column,
                        row,
                        str(int(counts[row, column])),
                        ha="center",
                        va="center",
                        color=colour,
                        size=8,
                    )
    return figure


def labels_figure(logits: Tensor, labels: Tensor, names: tuple[str, ...]) -> Figure:
    """Logits (N, C), labels (N, C) -> a picture: a class a row, its scores in columns, in colours and as numbers."""
    columns = ("average precision", "precision", "recall", "F1")
    scores = label_scores(logits, labels)
    shares = torch.tensor([score[: len(columns)] for score in scores])
    figure = Figure(figsize=(6, max(3.0, 0.3 * len(names) + 1.5)), layout="tight")
    axes = figure.add_subplot()
    axes.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set(xticks=range(len(columns)), yticks=range(len(names)))
    axes.set_xticklabels(columns)
    axes.set_yticklabels([f"{name} ({score.support})" for name, score in zip(names, scores, strict=True)])
    for row, score in enumerate(scores if len(names) <= 60 else []):  # more of them cannot be read
        for column, value in enumerate(score[: len(columns)]):
            colour = "white" if value > 0.5 else "black"
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour, size=8)
    return figure


def wrong_figure(
    images: Tensor,
    logits: Tensor,
    labels: Tensor,
    names: tuple[str, ...],
    count: int,
    kind: type[Labels] | None = None,
) -> Figure:
    """The surest wrong predictions, the surest first.

    images (M, channels, H, W) in [0, 1]: those of the wrong ones among logits (N, C) and labels (N,) or (N, C), in
    their order. kind: of the labels; None: of classes, by their dimensions.
    """
    kind = kind or KINDS[labels.ndim]
    sureness = kind.sureness(logits, labels)
    wrong = sureness > 0
    logits, labels = logits[wrong], labels[wrong]
    order = sureness[wrong].argsort(descending=True, stable=True)[:count]
    columns = min(5, len(order))
    rows = -(-len(order) // columns)
    width, height, side = 1.5, 1.85, 1.4  # inches of a place for an image and its title, of the image
    figure = Figure(figsize=(width * columns, height * rows))
    axes = figure.add_axes((0, 0, 1, 1))  # one for all: axes of their own would take four times as long
    axes.axis("off")
    for place, index in enumerate(order.tolist()):
        left, bottom = width * (place % columns) + (width - side) / 2, height * (place // columns + 1) - 0.03
        image = images[index].permute(1, 2, 0).numpy()
        grey = image.shape[2] != 3
        extent = (left, left + side, bottom, bottom - side)
        axes.imshow(image[:, :, 0] if grey else image, cmap="gray" if grey else None, extent=extent, aspect="auto")
        mistake = kind.mistake(logits[index], labels[index], names)
        title = fill(mistake, LETTERS, max_lines=LINES, placeholder="...", break_on_hyphens=False)
        axes.text(left + side / 2, bottom - side - 0.03, title, size=8, ha="center", va="bottom", linespacing=1)
    axes.set(xlim=(0, width * columns), ylim=(height * rows, 0))
    return figure

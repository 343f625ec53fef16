"""Pictures of the confusion matrix, and of the most confident wrong predictions."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
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
from headstart.callbacks.loggers.logger_display import show_figures, take_pictures
from headstart.callbacks.predictions.error_thumbnails import error_records
from headstart.callbacks.predictions.number_pictures import numbers_figure
from headstart.callbacks.predictions.split_predictions import numbers as image_numbers
from headstart.callbacks.predictions.surest_errors import KINDS, SurestErrors, kind_of, split_images, surest_errors
from headstart.compat.lightning.lightning_trainer import datamodule_of
from headstart.data.data_protocols import has_contents, is_regression
from headstart.evaluation.confidence.abstention_picture import abstention_figure
from headstart.evaluation.confidence.risk_coverage import area_under_risk, coverage_curve
from headstart.modules.classifier import Classifier
from headstart.modules.labels.label_kinds import Labels
from headstart.modules.labels.number_targets import NumberTargets
from headstart.modules.labels.single_label import OneLabel
from headstart.modules.metrics.multi_label_metrics import label_scores
from headstart.selection.score_inputs import Sides
from headstart.system.worst_errors import WorstErrors, write_worst_errors
from headstart.types import Batch

log = logging.getLogger(__name__)
THUMBNAILS = 12  # of the wrong predictions, kept for the report
LETTERS, LINES = 25, 3  # of a title


class _Predictions(NamedTuple):
    """What was said of some images, and what was true."""

    logits: Tensor  # (N, classes)
    labels: Tensor  # (N,) or (N, classes)


class Figures(Callback):
    """At the end of the test: test/confusion, test/abstention and test/wrong (the surest wrong) as the loggers' images.

    The abstention is the accuracy on the surest answers against their share. Where an image may have several labels,
    test/labels (each class's scores) stands for the first two, and where targets are numbers test/numbers (predicted
    against true), with the largest errors in test/wrong. Of the images
    of all ranks together. Of a run that adapts also val/confusion, at the end of fit: the source's at the last
    validation; called by DomainPredictions. The datamodule's class_names stand beside the images.

    The first 12 of the wrong ones are kept too as thumbnails, which the report shows, where `folder` is set.

    Args:
        wrong: How many wrong predictions to show; 0 means none.

    Attributes:
        folder: Where the thumbnails are written; None: nowhere.
    """

    def __init__(self, *, wrong: Annotated[int, Ge(0)]) -> None:
        self.wrong = wrong
        self.folder: Path | None = None
        self._seen: list[_Predictions] = []
        self._wrong = SurestErrors.none()
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
        self._seen, self._wrong = [], SurestErrors.none()

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
        self._wrong = surest_errors(
            [self._wrong, SurestErrors(logits[missed], labels[missed], wrong_images)], self.wrong, self._kind
        )

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Classifier)
        draws, keeps = take_pictures(trainer.loggers), self.folder is not None and self.wrong > 0
        if not draws and not keeps:
            return
        everywhere = _gathered((self._seen, self._wrong), trainer)
        batches = [part for of_rank, _ in everywhere for part in of_rank]
        if not trainer.is_global_zero or not batches:
            return
        logits, labels = (torch.cat(part) for part in zip(*batches, strict=True))
        data = datamodule_of(trainer)
        kind = kind_of(labels, numbers=is_regression(data))
        wrong = surest_errors([of_rank for _, of_rank in everywhere], self.wrong, kind)
        images = None
        if len(wrong.images):
            images = denormalised(split_images(wrong.images, data), pl_module.backbone.pixels)
        if keeps:
            count = int((kind.sureness(logits, labels) > 0).sum())
            self._keep(wrong, images, data, kind, WorstErrors(len(labels), count, ()))
        if draws:
            figures = _figures(logits, labels, data.class_names, kind)
            if images is not None:
                figures["test/wrong"] = wrong_figure(
                    images, wrong.logits, wrong.labels, data.class_names, self.wrong, kind
                )
            show_figures(trainer.loggers, figures, trainer.global_step)

    def _keep(
        self, wrong: SurestErrors, images: Tensor | None, data: Any, kind: type[Labels], counts: WorstErrors
    ) -> None:
        """Write the thumbnails; a failure is a warning, as the run's result does not need them."""
        assert self.folder is not None
        shown = SurestErrors(*(part[:THUMBNAILS] for part in wrong))
        try:
            known = has_contents(data) and shown.images.ndim == 1 and len(shown.images) > 0
            numbers = image_numbers(data.contents("test"))[shown.images.numpy()] if known else None
            errors = (
                () if images is None else error_records(shown, images[:THUMBNAILS], numbers, data.class_names, kind)
            )
            write_worst_errors(self.folder, replace(counts, errors=errors))
        except (OSError, ValueError) as error:
            log.warning("the report will lack the images of this run's errors: %s: %s", type(error).__name__, error)


def _figures(logits: Tensor, labels: Tensor, names: tuple[str, ...], kind: type[Labels]) -> dict[str, Figure]:
    """The figures of all test images by their tags."""
    if kind is NumberTargets:
        return {"test/numbers": numbers_figure(logits, labels, names)}
    if labels.ndim > 1:
        return {"test/labels": labels_figure(logits, labels, names)}
    return {"test/confusion": confusion_figure(logits, labels, names), "test/abstention": _abstention(logits, labels)}


def _abstention(logits: Tensor, labels: Tensor) -> Figure:
    probability, predicted = logits.softmax(dim=1).max(dim=1)
    sure, right = probability.numpy(), (predicted == labels).numpy()
    return abstention_figure(coverage_curve(sure, right), area_under_risk(sure, right))


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

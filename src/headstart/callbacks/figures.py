"""What does the model confuse, and which images does it get wrong?"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from annotated_types import Ge
from matplotlib.figure import Figure
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

from headstart.modules.classifier import Classifier
from headstart.types import Batch


class Figures(Callback):
    """At the end of the test: test/confusion and test/wrong (the surest wrong predictions) as TensorBoard images.

    wrong: how many wrong predictions to show, 0 for none. The datamodule's class_names stand beside them.
    """

    def __init__(self, *, wrong: Annotated[int, Ge(0)]) -> None:
        self.wrong = wrong
        self._seen: list[tuple[Tensor, Tensor]] = []  # logits, labels
        self._images: list[Tensor] = []  # those that were predicted wrong

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._seen, self._images = [], []

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        logits = outputs.float()
        self._seen.append((logits.cpu(), batch.label.cpu()))
        self._images.append(batch.image[logits.argmax(dim=1) != batch.label].cpu())

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Classifier)
        boards = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        if not boards or not self._seen or not trainer.is_global_zero:
            return
        logits, labels = (torch.cat(part) for part in zip(*self._seen, strict=True))
        names: tuple[str, ...] = trainer.datamodule.class_names  # type: ignore[attr-defined]
        pixels = pl_module.backbone.pixels
        std, mean = (torch.tensor(values)[:, None, None] for values in (pixels.std, pixels.mean))
        images = (torch.cat(self._images) * std + mean).clamp(0, 1)
        figures = {"test/confusion": confusion_figure(logits, labels, names)}
        if self.wrong and len(images):
            figures["test/wrong"] = wrong_figure(images, logits, labels, names, self.wrong)
        for board in boards:
            for tag, figure in figures.items():
                board.experiment.add_figure(tag, figure, global_step=trainer.global_step, close=False)


def confusion_figure(logits: Tensor, labels: Tensor, names: tuple[str, ...]) -> Figure:
    """Logits (N, C), labels (N,) -> a picture: true classes in rows, predicted ones in columns, counts as numbers."""
    counts = multiclass_confusion_matrix(logits, labels, num_classes=len(names))
    shares = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
    side = max(4.0, 0.32 * len(names) + 1.5)
    figure = Figure(figsize=(side, side), layout="constrained")
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


def wrong_figure(images: Tensor, logits: Tensor, labels: Tensor, names: tuple[str, ...], count: int) -> Figure:
    """The surest wrong predictions, the surest first.

    images (M, channels, H, W) in [0, 1]: those of the wrong ones among logits (N, C) and labels (N,), in
    their order.
    """
    probability, predicted = logits.softmax(dim=1).max(dim=1)
    wrong = predicted != labels
    probability, predicted, labels = probability[wrong], predicted[wrong], labels[wrong]
    order = probability.argsort(descending=True, stable=True)[:count]
    columns = min(5, len(order))
    rows = -(-len(order) // columns)
    figure = Figure(figsize=(1.5 * columns, 1.75 * rows), layout="constrained")
    for place, index in enumerate(order.tolist()):
        axes = figure.add_subplot(rows, columns, place + 1)
        image = images[index].permute(1, 2, 0).numpy()
        axes.imshow(image if image.shape[2] == 3 else image[:, :, 0], cmap=None if image.shape[2] == 3 else "gray")
        axes.set_title(f"{names[labels[index]]} as {names[predicted[index]]} {probability[index]:.2f}", size=8)
        axes.axis("off")
    return figure

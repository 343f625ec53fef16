"""The model before its first step: its head set in closed form, its metrics on val measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from headstart.callbacks.checkpoints.per_rank_state import of_each_rank
from headstart.callbacks.predictions.prediction_storage import ImagePredictions
from headstart.callbacks.training.stage_caching import FeatureCaching
from headstart.compat.lightning.lightning_loops import validate
from headstart.data.data_protocols import KnownLabels, is_regression
from headstart.data.datasets.labelled_split import Labels
from headstart.data.splits.number_division import quantile_bins
from headstart.distributed.model_sharding import load_whole
from headstart.features.cache.cached_activations import Engine
from headstart.features.cache.stratified_subset import stratified
from headstart.modules.classifier import Classifier
from headstart.modules.heads.classification_head import ClassificationHead
from headstart.modules.heads.number_head import NumberHead
from headstart.types import Batch

OF_EACH = 8  # images of a class that are taken, however few are asked for


class Start(Callback):
    """Sets a closed-form head, lets the regularizer look at the data, then validates before the first optimizer step.

    The validation's own features of val go through a second head, which is set in closed form on the features of some
    training images, whatever head the run itself starts with: so that starts can be compared that a random head would
    leave at chance level. It is the same for all ranks, and so are its predictions, of the images that all of them
    have validated, in the order of the split. A head of init=class_means is set on all training images; where `images`
    allows as many and the run's head does not standardise, both heads are one, and what is measured is what step 0 of
    the run gives.

    Args:
        data: The run's LightningDataModule. Of training images, nothing but the labels and the features is read.
        head: A head like the module's, for the measurement alone.
        images: At most so many training images for the measurement, but 8 of each class; None is all.
        measures: Whether the closed-form head is measured; it needs the labels of train and of val.
        begins: Whether the module's own head is set in closed form.
        validates: Whether there are images of val; without them nothing is measured.
        cache: Where features of training images are kept for other runs that begin with the same weights; None where
            no other run does.
        answers: What keeps the measured head's answers; None where nothing does.

    Attributes:
        class_means_score: The monitored metric of val with the head in closed form, NaN where it is not measured.
        closed_form_logits: (N, classes), float32 on the CPU, of the images of val with this head; None where it is not
            measured, and in a resumed run.
        used_images: {"used": n, "of": N} training images that the measured head is made of, None as above.
    """

    def __init__(
        self,
        *,
        data: Any,
        head: ClassificationHead | NumberHead,
        images: int | None,
        measures: bool,
        begins: bool,
        validates: bool = True,
        cache: FeatureCaching | None = None,
        answers: ImagePredictions | None = None,
    ) -> None:
        self.data, self.head, self.images, self.cache, self.answers = data, head.eval(), images, cache, answers
        self.measures, self.begins, self.validates = measures and validates, begins, validates
        self.class_means_score = float("nan")
        self.closed_form_logits: Tensor | None = None
        self.used_images: dict[str, int] | None = None
        self._validated: list[tuple[Tensor, Tensor, Tensor | None]] | None = None  # logits, labels, positions

    # ------------------------------------------------------------------ Lightning's hooks

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Classifier)
        if trainer.global_step > 0:  # a resumed run has had its start
            return
        if self.measures or self.begins or self.head.standardise:
            self._set_heads(trainer, pl_module)
        _look(pl_module, self.data)
        self._validated = [] if self.measures else None
        if self.validates:
            validate(trainer)
        if self._validated is not None:
            self._measure(trainer, pl_module, self._validated)
            self._validated = None

    @torch.no_grad()
    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self._validated is not None:
            logits = self.head(outputs["features"].float())
            position = None if batch.position is None else batch.position.cpu()
            self._validated.append((logits.cpu(), outputs["label"].cpu(), position))

    def state_dict(self) -> dict[str, Any]:
        return {"class_means_score": self.class_means_score, "used_images": self.used_images}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.class_means_score = state_dict["class_means_score"]
        self.used_images = state_dict.get("used_images")

    # ------------------------------------------------------------------ the heads

    def _set_heads(self, trainer: Trainer, module: Classifier) -> None:
        engine = Engine.of(trainer)
        labels = _labels_of(self.data)
        # of numbers as many of each quantile as of each class
        numbers = is_regression(self.data)
        some = None if labels is None else stratified(_classes(labels, numbers=numbers), self.images, OF_EACH)
        whole = None if labels is None else np.arange(len(labels))
        sets = self.begins or self.head.standardise
        read = whole if sets else some
        self.head.to(module.device)
        summary, label = self._summaries(module, engine, read)
        if sets:
            if self.begins:
                self.head.set_class_means(summary, label)
            else:
                self.head.set_scale(summary)
            load_whole(module.head, _of_rank_zero(self.head, trainer))
        if self.measures:
            self.head.stop_standardising()  # alike in all arms, whether their own heads standardise or not
            if sets and some is not None and len(some) < len(label):
                at = torch.from_numpy(some).to(label.device)
                summary, label = summary[at], label[at]
            self.head.set_class_means(summary, label, None if labels is None else labels.to(label.device))
            self.head.load_state_dict(_of_rank_zero(self.head, trainer))
            self.used_images = {"used": len(label), "of": len(label) if labels is None else len(labels)}

    @torch.no_grad()
    def _summaries(
        self, module: Classifier, engine: Engine, positions: NDArray[np.int64] | None
    ) -> tuple[Tensor, Tensor]:
        """What the last layer reads (n, d) and labels of training images at these positions, of all where None."""
        if positions is None:
            loader = self.data.plain_dataloader("train", stored=True)
        else:
            loader = self.data.plain_dataloader("train", positions, stored=True)
            stored = None if self.cache is None else self.cache.features("train", positions)
            if stored is not None:
                return self.head.summary(stored.to(engine.device)), loader.labels.to(engine.device)
        return features_of(module, loader, engine.convert, engine.context, self.head.summary)

    def _measure(
        self, trainer: Trainer, module: Classifier, validated: list[tuple[Tensor, Tensor, Tensor | None]]
    ) -> None:
        parts = [part for of_rank in of_each_rank(validated) for part in of_rank]
        if not parts:  # trainer.limit_val_batches=0
            return
        logits, labels = torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])
        positions = [part[2] for part in parts if part[2] is not None]
        if len(positions) == len(parts):  # else the data do not say where an image lies
            order = torch.cat(positions).argsort()
            logits, labels = logits[order], labels[order]
        self.closed_form_logits = logits
        if self.answers is not None and len(positions) == len(parts):
            self.answers.set_closed_form(logits)
        self.class_means_score = float(module.labels.score(logits, labels))
        for logger in trainer.loggers:
            logger.log_metrics({"start/class_means": self.class_means_score}, step=0)


@torch.no_grad()
def features_of(
    module: Classifier,
    loader: Iterable[Batch],
    convert: Callable[[Batch], Batch],
    context: Callable[[], AbstractContextManager[Any]] = nullcontext,
    read: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Features (N, D), float32 as the head is that is measured, and labels (N,) of all images of a loader, in eval().

    convert: makes batches what the weights compute with, which are bfloat16 with trainer.precision=bf16-true.
    context: of a forward pass, as for autocast. read: what is kept of the features of a batch; None is all.
    """
    training = module.training
    module.eval()
    features, labels = [], []
    for batch in loader:
        image = convert(batch).image.to(module.device)
        with context():
            features_given = module.backbone(image, start=batch.start).float()
        features.append(features_given if read is None else read(features_given))
        labels.append(batch.label.to(module.device))
    module.train(training)
    return torch.cat(features), torch.cat(labels)


def _labels_of(data: Any) -> Tensor | None:
    """Those of all training images, where the loader knows them without reading one."""
    loader = data.plain_dataloader("train")
    return loader.labels if isinstance(loader, KnownLabels) else None


def _classes(labels: Tensor, *, numbers: bool) -> Labels:
    """The labels, or the quantiles of the first column of numbers."""
    label: Labels = labels.numpy()
    return quantile_bins(label[:, 0].astype(np.float32)) if numbers else label


def _of_rank_zero(head: ClassificationHead | NumberHead, trainer: Trainer) -> dict[str, Tensor]:
    """Its numbers on rank 0, on the CPU of each: two GPUs may round differently."""
    on_cpu = {name: tensor.cpu() for name, tensor in head.state_dict().items()}  # or it arrives on rank 0's GPU
    state: dict[str, Tensor] = trainer.strategy.broadcast(on_cpu)
    return state


def _look(module: Classifier, data: Any) -> None:
    """Let the regularizer look at the data; all ranks have what rank 0 saw, as two GPUs may round differently."""
    module.look(data)
    if module.regularizer is not None and dist.is_initialized():
        for buffer in module.regularizer.buffers():
            dist.broadcast(buffer, src=0)

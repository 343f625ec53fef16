"""Metrics of named test sets, of the weights that are tested, once at the end of a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from headstart.callbacks.checkpoints.per_rank_state import of_each_rank
from headstart.callbacks.domains.domain_predictions import limited
from headstart.callbacks.predictions.split_predictions import image_losses, numbers, predicted_answer, write_arrays
from headstart.data.data_protocols import has_contents
from headstart.evaluation.answer_metrics import answer_metrics
from headstart.evaluation.class_indices import relabelled
from headstart.features.cache.cached_activations import Engine
from headstart.modules.classifier import Classifier
from headstart.types import Batch


class ImagePass(NamedTuple):
    """One look at the images of a test set.

    Attributes:
        data: Data that are set up.
        split: Of these data.
        kind: The corruption's name; empty without one.
        severity: The corruption's; 0 without one.
    """

    data: Any
    split: str
    kind: str
    severity: int


@dataclass(frozen=True)
class NamedTestSet:
    """A test set by its name, and what the user said of it.

    Attributes:
        name: Of the test set.
        passes: One, or one for each corruption and severity.
        places: (classes of the data,), their indices among the run's.
        settings: As the config has them.
        several: Whether the run tells several labels of an image.
    """

    name: str
    passes: Sequence[ImagePass]
    places: Tensor
    settings: Any
    several: bool


class Answers(NamedTuple):
    """Predictions on the images of a split, in their order.

    Attributes:
        logits: (N, classes), float32, on the CPU.
        label: (N,), or of several labels an image (N, classes), as the run numbers its classes.
        position: (N,) in the split; None where it is not known.
    """

    logits: Tensor
    label: Tensor
    position: Tensor | None


class SetMetrics(NamedTuple):
    """What a test set says of a model.

    Attributes:
        metrics: test/<name>/<metric>, the mean over passes; where there are several kinds also test/<name>/<kind>/...
        answers: Of each pass.
    """

    metrics: dict[str, float]
    answers: list[Answers]


class NamedTestSets(Callback):
    """Logs test/<name>/<metric> of each test set when the run's own test ends, and writes answers/test-<name>.npz.

    The model is the one that is tested; no selection ever sees these metrics. The ranks share the images of data that
    can be read in any order, and gather the logits: the metrics are those of one device. The file has the arrays of
    test.npz, with a row for each pass, and `corruption` and `severity` (passes,).

    Args:
        sets: The test sets, their data set up.
        folder: Where the files are written.

    Attributes:
        results: Name -> {images, passes, settings} for the run's result, after the test.
    """

    def __init__(self, *, sets: Sequence[NamedTestSet], folder: Path) -> None:
        self.sets, self.folder = sets, folder
        self.results: dict[str, Any] = {}

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Classifier)
        limit = trainer.limit_test_batches
        if limit == 0:
            return
        engine = Engine.of(trainer)
        shares = (trainer.global_rank, trainer.world_size)
        for test_set in self.sets:
            result = measured_test_set(test_set, pl_module, engine, shares=shares, limit=limit)
            pl_module.log_dict(result.metrics)
            self.results[test_set.name] = described(test_set, result, pl_module.labels.monitor)
            if trainer.is_global_zero:
                self._write(test_set, result.answers)

    def _write(self, test_set: NamedTestSet, answers: Sequence[Answers]) -> None:
        first, several = test_set.passes[0], test_set.several
        position = answers[0].position
        if position is None or not has_contents(first.data):
            return
        stacked = [predicted_answer(each.logits, several=several).numpy() for each in answers]
        write_arrays(
            self.folder / f"test-{test_set.name}.npz",
            {
                "image": numbers(first.data.contents(first.split))[position.numpy()],
                "label": answers[0].label.numpy(),
                "logits" if several else "predicted": np.stack(stacked),
                "loss": np.stack([image_losses(each.logits, each.label).numpy() for each in answers]),
                "corruption": np.array([each.kind for each in test_set.passes]),
                "severity": np.array([each.severity for each in test_set.passes], np.int64),
            },
        )


def measured_test_set(
    test_set: NamedTestSet, module: Classifier, engine: Engine, *, shares: tuple[int, int] = (0, 1), limit: float = 1.0
) -> SetMetrics:
    """The metrics of a test set, the same on all ranks; all of them must ask.

    Args:
        test_set: Its data are set up.
        module: In eval(), without gradients.
        engine: Where it computes.
        shares: The rank of this process, and their number.
        limit: The batches of each pass, as a number or a share.
    """
    run = _Run(module, engine, test_set.places, test_set.several)
    answers = [_answers(each, run, shares, limit) for each in test_set.passes]
    by_kind: dict[str, list[dict[str, float]]] = {}
    for image_pass, each in zip(test_set.passes, answers, strict=True):
        values = answer_metrics(module.labels, each.logits, each.label, "")
        by_kind.setdefault(image_pass.kind, []).append({name.lstrip("/"): value for name, value in values.items()})
    metrics = _means(f"test/{test_set.name}", [values for of_kind in by_kind.values() for values in of_kind])
    if len(by_kind) > 1:
        for kind, of_kind in by_kind.items():
            metrics |= _means(f"test/{test_set.name}/{kind}", of_kind)
    return SetMetrics(metrics, answers)


def _means(tag: str, passes: Sequence[dict[str, float]]) -> dict[str, float]:
    """Each metric's mean over passes."""
    return {f"{tag}/{name}": fmean(values[name] for values in passes) for name in passes[0]}


def described(test_set: NamedTestSet, result: SetMetrics, monitor: str) -> dict[str, Any]:
    """What a result file says of a test set besides its metrics: images, settings, the level of each pass.

    Args:
        test_set: The test set.
        result: What it says of the model.
        monitor: Name of the monitored metric, without its split; it is told of each kind of corruption.
    """
    kinds = {
        image_pass.kind: result.metrics.get(f"test/{test_set.name}/{image_pass.kind}/{monitor}")
        for image_pass in test_set.passes
    }
    return {
        "images": len(result.answers[0].label),
        "passes": len(test_set.passes),
        "settings": test_set.settings,
        "kinds": {kind: value for kind, value in kinds.items() if value is not None},
    }


class _Run(NamedTuple):
    """The model that is tested, and how labels of the data become its own."""

    module: Classifier
    engine: Engine
    places: Tensor
    several: bool


def _answers(image_pass: ImagePass, run: _Run, shares: tuple[int, int], limit: float) -> Answers:
    rank, world_size = shares
    shared = world_size > 1 and getattr(image_pass.data, "in_any_order", False)
    loader = image_pass.data.plain_dataloader(image_pass.split)
    if shared:
        images = len(image_pass.data.splits[image_pass.split].label)
        loader = image_pass.data.plain_dataloader(image_pass.split, np.arange(images)[rank::world_size])
    is_whole = isinstance(limit, float) and limit == 1.0  # a loader need not know its length then
    own = _of_batches(loader if is_whole else limited(loader, limit), run)
    if not shared:
        return own
    parts = [part for part in of_each_rank(own) if len(part.label)]
    position = torch.cat([part.position for part in parts if part.position is not None])
    order = position.argsort()
    logits, label = (torch.cat(values)[order] for values in zip(*((p.logits, p.label) for p in parts), strict=True))
    return Answers(logits, label, position[order])


def _of_batches(batches: Iterable[Batch], run: _Run) -> Answers:
    module, engine, classes = run.module, run.engine, run.module.num_classes
    logits, labels, positions = [torch.empty(0, classes)], [], []
    for batch in batches:
        image = engine.convert(batch).image.to(engine.device, non_blocking=True)
        with engine.context():
            logits.append(module(image).float().cpu())
        labels.append(relabelled(batch.label, run.places, classes, several=run.several).cpu())
        if batch.position is not None:
            positions.append(batch.position)
    label = torch.cat(labels) if labels else torch.empty(0, dtype=torch.long)
    position = torch.cat(positions) if positions else None
    return Answers(torch.cat(logits), label, position)

"""What each image of a split contributed to a run's metrics, read from the run's folder."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.report.statistics.jackknife import GROUPS, pseudo_values

FOLDER = "answers"
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ImageContributions:
    """Contributions (E, M) of M images, or groups of images, whose mean is a metric at each of E evaluations."""

    image: NDArray[np.uint64]  # (M,) what each is
    value: Floats  # (E, M)


@dataclass(frozen=True)
class StoredPredictions:
    """The images of one split (N) and what a run said of them at its evaluations (E)."""

    image: NDArray[np.uint64]  # (N,) what each is: equal images have equal numbers in all runs
    label: NDArray[Any]  # (N,), or of several labels an image (N, C), int64; or numbers (N, T), float64
    step: NDArray[np.int64]  # (E,) optimizer steps done
    predicted: NDArray[np.int64] | None  # (E, N) classes, where an image has one label
    loss: Floats | None  # (E, N)
    logits: Floats | None  # (E, N, C), where an image may have several labels
    numbers: Floats | None = None  # (E, N, T), where the targets are numbers
    closed_form: NDArray[Any] | None = None  # (N,) classes, or (N, C) logits: before training, head in closed form
    seen_by_trials: NDArray[np.bool_] | None = None  # (N,)

    def unseen(self) -> StoredPredictions:
        """The same of the images alone that no trial saw."""
        if self.seen_by_trials is None:
            return self
        return self.taken(np.flatnonzero(~self.seen_by_trials))

    def taken(self, positions: NDArray[np.int64]) -> StoredPredictions:
        """The same of the images at these positions alone."""
        return replace(
            self,
            image=self.image[positions],
            label=self.label[positions],
            predicted=None if self.predicted is None else self.predicted[:, positions],
            loss=None if self.loss is None else self.loss[:, positions],
            logits=None if self.logits is None else self.logits[:, positions],
            numbers=None if self.numbers is None else self.numbers[:, positions],
            closed_form=None if self.closed_form is None else self.closed_form[positions],
            seen_by_trials=None if self.seen_by_trials is None else self.seen_by_trials[positions],
        )

    def rows(self, metric: str) -> ImageContributions | None:
        """Contributions whose mean is the metric at each evaluation; None where there are none.

        metric: accuracy, loss, f1, balanced_accuracy, map and so on, without its split. Of a metric that is no mean
        over images they are jackknife pseudo-values of groups of images.
        """
        if metric == "loss":
            return None if self.loss is None else ImageContributions(self.image, self.loss)
        if self.numbers is not None:
            if metric == "mae":
                return ImageContributions(self.image, np.abs(self.numbers - self.label).mean(axis=2))
            return self._jackknifed(_NUMBER_METRICS.get(metric), self.numbers)
        if self.predicted is not None and self.label.ndim == 1:
            if metric == "accuracy":
                return ImageContributions(self.image, (self.predicted == self.label).astype(np.float64))
            return self._jackknifed(_CLASS_METRICS.get(metric), self.predicted)
        if self.logits is not None:
            return self._jackknifed(_LABEL_METRICS.get(metric), self.logits)
        return None

    def closed_form_rows(self, metric: str) -> ImageContributions | None:
        """The same (1, M) of the start with the head in closed form; None where it was not measured."""
        if self.closed_form is None:
            return None
        is_class = self.closed_form.ndim == 1
        start = replace(
            self,
            step=np.zeros(1, dtype=np.int64),
            predicted=self.closed_form[None].astype(np.int64) if is_class else None,
            logits=None if is_class or self.numbers is not None else self.closed_form[None].astype(np.float64),
            numbers=None if self.numbers is None else self.closed_form[None].astype(np.float64),
            loss=None,
        )
        return start.rows(metric)

    def _jackknifed(
        self, metric: Callable[[Any, Any], float] | None, outputs: NDArray[Any]
    ) -> ImageContributions | None:
        """Pseudo-values (E, G), a group of images left out at a time (Efron & Stein 1981)."""
        images = len(self.label)
        groups = min(GROUPS, images)
        if metric is None or groups < 2:
            return None
        group = np.arange(images) % groups  # the classes take turns in a split: each group holds all of them alike
        label = self.label
        values = np.array([pseudo_values(partial(_metric_at, metric, row, label), group).value for row in outputs])
        names = np.array([np.bitwise_xor.reduce(self.image[group == g]) for g in range(groups)], dtype=np.uint64)
        return ImageContributions(names, values)


def _metric_at(metric: Callable[[Any, Any], float], outputs: Any, labels: Any, positions: NDArray[np.intp]) -> float:
    """The metric of the images at these positions."""
    return metric(outputs[positions], labels[positions])


def answers_in(folder: Path, split: str) -> StoredPredictions | None:
    """What a run's folder holds for a split; None where there is nothing, or it cannot be read."""
    file = folder / FOLDER / f"{split}.npz"
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        is_number = arrays["label"].dtype.kind == "f"
        predicted = arrays.get("predicted")
        return StoredPredictions(
            image=arrays["image"].astype(np.uint64),
            label=arrays["label"].astype(np.float64 if is_number else np.int64),
            step=arrays["step"].astype(np.int64),
            predicted=None if predicted is None or is_number else predicted.astype(np.int64),
            loss=arrays["loss"].astype(np.float64) if "loss" in arrays else None,
            logits=arrays["logits"].astype(np.float64) if "logits" in arrays else None,
            numbers=predicted.astype(np.float64) if predicted is not None and is_number else None,
            closed_form=arrays.get("closed_form"),
            seen_by_trials=arrays["seen_by_trials"].astype(bool) if "seen_by_trials" in arrays else None,
        )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _recalls(predicted: NDArray[np.int64], label: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """Of each class that is there or was said: right answers, images, answers."""
    classes = int(max(predicted.max(initial=0), label.max(initial=0))) + 1
    right = np.bincount(label[predicted == label], minlength=classes)
    images, predictions = np.bincount(label, minlength=classes), np.bincount(predicted, minlength=classes)
    present = (images + predictions) > 0
    return tuple(part[present].astype(np.float64) for part in (right, images, predictions))  # type: ignore[return-value]


def _balanced_accuracy(predicted: NDArray[np.int64], label: NDArray[np.int64]) -> float:
    """Mean recall of the classes that some image has."""
    right, images, _ = _recalls(predicted, label)
    return float(np.mean(right[images > 0] / images[images > 0]))


def _f1(predicted: NDArray[np.int64], label: NDArray[np.int64]) -> float:
    """Mean F1 of the classes."""
    right, images, predictions = _recalls(predicted, label)
    return float(np.mean(2 * right / (images + predictions)))


def _mean_average_precision(logits: Floats, label: NDArray[np.int64]) -> float:
    """Mean over the classes that some image has of their average precision (steps of the recall)."""
    precisions = []
    for scores, truth in zip(logits.T, label.T, strict=True):
        if not truth.any():
            continue
        order = np.argsort(-scores, kind="stable")
        right = np.cumsum(truth[order])
        # equal logits are one step: precision and recall are those after the last of them
        last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
        recall = np.diff(right[last], prepend=0) / right[-1]
        precisions.append(float(recall @ (right[last] / (last + 1))))
    return float(np.mean(precisions)) if precisions else float("nan")


def _subset_accuracy(logits: Floats, label: NDArray[np.int64]) -> float:
    """The share of images whose labels are all right."""
    return float(np.mean(((logits > 0) == (label > 0)).all(axis=1)))


def _r2(predicted: Floats, label: Floats) -> float:
    """The mean over columns of 1 - squared errors / squares around the mean; where these are 0, 1 or 0."""
    around, errors = (np.square(label - other).sum(axis=0) for other in (label.mean(axis=0), predicted))
    return float(np.mean(np.where(around > 0, 1 - errors / np.where(around > 0, around, 1), errors == 0)))


def _rmse(predicted: Floats, label: Floats) -> float:
    """The mean over columns of the root of the mean squared error."""
    return float(np.sqrt(np.square(predicted - label).mean(axis=0)).mean())


def _confusion(predicted: NDArray[np.int64], label: NDArray[np.int64]) -> Floats:
    """How often each class (rows) is predicted as each (columns)."""
    classes = int(max(predicted.max(initial=0), label.max(initial=0))) + 1
    return np.bincount(label * classes + predicted, minlength=classes**2).reshape(classes, classes).astype(np.float64)


def _cohen_kappa(predicted: NDArray[np.int64], label: NDArray[np.int64]) -> float:
    """Agreement above that of chance, over the largest possible (Cohen 1960)."""
    shares = _confusion(predicted, label) / len(label)
    by_chance = float(shares.sum(axis=0) @ shares.sum(axis=1))
    return float((np.trace(shares) - by_chance) / (1 - by_chance)) if by_chance < 1 else float("nan")


def _matthews(predicted: NDArray[np.int64], label: NDArray[np.int64]) -> float:
    """Correlation of predicted and true classes (Gorodkin 2004); 0 where one of them does not vary."""
    shares = _confusion(predicted, label) / len(label)
    of_predicted, of_true = shares.sum(axis=0), shares.sum(axis=1)
    spread = (1 - of_predicted @ of_predicted) * (1 - of_true @ of_true)
    return float((np.trace(shares) - of_predicted @ of_true) / np.sqrt(spread)) if spread > 0 else 0.0


_NUMBER_METRICS: dict[str, Callable[[Any, Any], float]] = {"r2": _r2, "rmse": _rmse}
_CLASS_METRICS: dict[str, Callable[[Any, Any], float]] = {
    "balanced_accuracy": _balanced_accuracy,
    "f1": _f1,
    "cohen_kappa": _cohen_kappa,
    "matthews": _matthews,
}
_LABEL_METRICS: dict[str, Callable[[Any, Any], float]] = {
    "map": _mean_average_precision,
    "subset_accuracy": _subset_accuracy,
}

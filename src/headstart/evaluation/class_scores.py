"""Confusion matrix, precision, recall and F1 of each class."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class ClassScore(NamedTuple):
    """Of one class; a share of nothing is 0, as scikit-learn has it."""

    precision: float  # of the images that were taken for it, the share that are of it
    recall: float  # of its images, the share that were recognised: its accuracy
    f1: float  # the harmonic mean of both
    support: int  # its images


def confusion_matrix(predicted: NDArray[np.integer[Any]], true: NDArray[np.integer[Any]], classes: int) -> NDArray[Any]:
    """Counts (classes, classes): true classes in rows, predicted ones in columns; predicted (N,), true (N,)."""
    cells = np.bincount(true.astype(np.int64) * classes + predicted, minlength=classes**2)
    return cells.reshape(classes, classes)


def class_scores(confusion: NDArray[Any]) -> list[ClassScore]:
    """Of each class, from the counts (classes, classes) of true (rows) and predicted (columns) ones."""
    hits, support, taken = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    return [
        ClassScore(
            precision=hit / max(as_it, 1),
            recall=hit / max(of_class, 1),
            f1=2 * hit / max(of_class + as_it, 1),
            support=of_class,
        )
        for hit, of_class, as_it in zip(hits.tolist(), support.tolist(), taken.tolist(), strict=True)
    ]

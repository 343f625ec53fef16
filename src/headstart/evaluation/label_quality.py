"""Confident learning: which labels are likely wrong, by probabilities that never saw them."""

from __future__ import annotations

from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headstart.types import UserError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class LabelQuality(NamedTuple):
    """How well each label agrees with the probabilities.

    Attributes:
        score: (N,), from 0 to 1: half of 1 plus the probability of the label less the largest of another class.
        suggested: (N,), the most likely class other than the label.
        is_issue: (N,), whether confident learning counts the label as wrong.
        margin: (N,), the largest probability less the second.
    """

    score: Floats
    suggested: Integers
    is_issue: NDArray[np.bool_]
    margin: Floats


def label_quality(labels: ArrayLike, probabilities: ArrayLike) -> LabelQuality:
    """The quality of each label, by cleanlab: the normalised margin, and the off-diagonal of the confident joint.

    Northcutt, Jiang & Chuang 2021, Confident Learning (JAIR 70, arXiv:1911.00068), section 3: a class's threshold is
    the mean probability of it over the images with its label; an image is counted for the likeliest class whose
    threshold its probability reaches, and its label is an issue where that is another class.

    Args:
        labels: (N,), classes from 0.
        probabilities: (N, K), of models that did not learn from the image; rows sum to 1.

    Raises:
        ValueError: The shapes do not fit, or rows are no probabilities.
        UserError: cleanlab is not installed.
    """
    given, p = checked(labels, probabilities)
    check_cleanlab()
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_normalized_margin_for_each_label

    others = p.copy()
    others[np.arange(len(given)), given] = -1.0
    ordered = np.sort(p, axis=1)
    return LabelQuality(
        score=np.asarray(get_normalized_margin_for_each_label(given, p), dtype=np.float64),
        suggested=others.argmax(axis=1).astype(np.int64),
        is_issue=np.asarray(find_label_issues(given, p, filter_by="confident_learning", n_jobs=1), dtype=np.bool_),
        margin=ordered[:, -1] - ordered[:, -2],
    )


def check_cleanlab() -> None:
    """Raise UserError where cleanlab is not installed."""
    if find_spec("cleanlab") is None:
        raise UserError("task=label_errors needs cleanlab; pip install 'headstart[label_errors]'")


def checked(labels: ArrayLike, probabilities: ArrayLike) -> tuple[Integers, Floats]:
    """Labels as integers and probabilities in float64, their rows adding up to 1.

    Args:
        labels: (N,).
        probabilities: (N, K).

    Raises:
        ValueError: The shapes do not fit, or rows are no probabilities.
    """
    given, p = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2 or p.shape[1] < 2 or given.shape != p.shape[:1] or not len(given):
        raise ValueError(f"labels (N,) and probabilities (N, classes) are needed, got {given.shape} and {p.shape}")
    if not np.issubdtype(given.dtype, np.integer) or given.min() < 0 or given.max() >= p.shape[1]:
        raise ValueError(f"labels must be classes from 0 to {p.shape[1] - 1}, got {given.dtype}")
    sums = p.sum(axis=1)
    if not np.isfinite(p).all() or p.min() < 0 or np.abs(sums - 1).max() > 1e-3:
        raise ValueError("each row of probabilities must be finite, not below 0 and add up to 1")
    return given.astype(np.int64), np.asarray(p / sums[:, None])

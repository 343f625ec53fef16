"""Abstention: accuracy on the surest answers against their share, and the area under risk and coverage."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SHARES = (0.5, 0.8, 0.9, 0.95, 1.0)  # of the images, which a summary tells


class CoveragePoint(NamedTuple):
    """What is right where only answers at least so sure are given.

    Attributes:
        threshold: The least confidence of an answer that is given.
        images: Answers that are given.
        coverage: Their share of all images.
        accuracy: The share of them that are right.
    """

    threshold: float
    images: int
    coverage: float
    accuracy: float


def coverage_curve(confidence: NDArray[Any], right: NDArray[np.bool_]) -> list[CoveragePoint]:
    """A point for each confidence that some answer has, the surest first.

    Geifman & El-Yaniv 2017, Selective Classification for Deep Neural Networks (arXiv:1705.08500), eq. 1 and 2: their
    risk is 1 - accuracy.

    Args:
        confidence: (N,), such as the probability of the predicted class.
        right: (N,), whether the predicted class is the true one.
    """
    order = np.argsort(-confidence, kind="stable")
    sure, correct = confidence[order], np.cumsum(right[order])
    last = np.flatnonzero(np.append(sure[1:] != sure[:-1], True))  # of equal answers all are given, or none
    return [
        CoveragePoint(float(sure[at]), int(at) + 1, (int(at) + 1) / len(sure), float(correct[at] / (at + 1)))
        for at in last.tolist()
    ]


def area_under_risk(confidence: NDArray[Any], right: NDArray[np.bool_]) -> float:
    """AURC: the mean risk (share of wrong answers) over all coverages 1/N, 2/N, ..., 1; 0 is best, nan of no image.

    Equal confidences count as in random order: each has the mean error of its group.
    Geifman, Uziel & El-Yaniv 2019, Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers (arXiv:1805.08206).

    Args:
        confidence: (N,), such as the probability of the predicted class.
        right: (N,), whether the predicted class is the true one.
    """
    if not len(right):
        return float("nan")
    order = np.argsort(-confidence, kind="stable")
    wrong = (~right[order]).astype(np.float64)
    _, group = np.unique(-confidence[order], return_inverse=True)
    mean_of_group = np.bincount(group, wrong) / np.bincount(group)
    errors = np.cumsum(mean_of_group[group])
    return float((errors / np.arange(1, len(wrong) + 1)).mean())


def least_area(right: NDArray[np.bool_]) -> float:
    """The AURC of a perfect order, in which every wrong answer comes after every right one."""
    return area_under_risk(right.astype(np.float64), right)


def accuracy_at(curve: list[CoveragePoint], share: float) -> CoveragePoint:
    """The first point, from the surest on, that covers so much of the images."""
    return next(point for point in curve if point.coverage >= share - 1e-12)

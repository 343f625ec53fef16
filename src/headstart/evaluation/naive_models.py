"""Accuracy of models without a network, as a baseline."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[Any]  # (N, ...): pixels of any shape, of any scale
Labels = NDArray[np.integer[Any]]  # (N,)

STRENGTH = 0.01  # scikit-learn's C: of 1, 0.1, 0.01 and 0.001 the best on printed letters (0.66 where 1 has 0.62)
ITERATIONS = 1000  # enough to converge: 200 to 300 were needed


def naive_accuracies(
    train_image: Images, train_label: Labels, test_image: Images, test_label: Labels
) -> dict[str, float]:
    """The share of right answers on the test images of each naive model: what a network has to beat."""
    split = train_image, train_label, test_image, test_label
    return {
        "majority": majority_accuracy(train_label, test_label),
        "class_means": class_means_accuracy(*split),
        "logistic_regression": logistic_regression_accuracy(*split),
    }


def majority_accuracy(train_label: Labels, test_label: Labels) -> float:
    """The share of the test labels that are the most frequent training label (of several, the smallest)."""
    values, counts = np.unique(train_label, return_counts=True)
    return float(np.mean(test_label == values[counts.argmax()]))


def class_means_accuracy(train_image: Images, train_label: Labels, test_image: Images, test_label: Labels) -> float:
    """The share of test images whose nearest mean of a class of training images is of their own class."""
    train, test = _flat(train_image), _flat(test_image)
    classes = np.unique(train_label)
    means = np.stack([train[train_label == label].mean(0) for label in classes])
    # |x - m|^2 less |x|^2, which is the same for every class
    distance = (means**2).sum(1) - 2 * test @ means.T
    return float(np.mean(classes[distance.argmin(1)] == test_label))


def logistic_regression_accuracy(
    train_image: Images, train_label: Labels, test_image: Images, test_label: Labels
) -> float:
    """The share of right answers of a multinomial logistic regression on standardised pixels."""
    from sklearn.linear_model import LogisticRegression  # here: a second to import, which few runs need
    from sklearn.preprocessing import StandardScaler

    scale = StandardScaler().fit(_flat(train_image))
    model = LogisticRegression(C=STRENGTH, max_iter=ITERATIONS)
    model.fit(scale.transform(_flat(train_image)), train_label)
    return float(np.mean(model.predict(scale.transform(_flat(test_image))) == test_label))


def wilson_interval(correct: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """The bounds (low, high) of an accuracy of which `correct` of `total` answers are known; both in [0, 1].

    Raises ValueError where the counts are impossible.
    Wilson 1927, Probable Inference, the Law of Succession, and Statistical Inference (JASA 22), without
    correction for continuity.
    """
    if not 0 <= correct <= total or total < 1:
        raise ValueError(f"correct must be between 0 and total, and total at least 1, got {correct} of {total}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = correct / total
    centre = share + z**2 / (2 * total)
    half = z * sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    scale = 1 + z**2 / total
    # at 0 of n and n of n the bound is exact; rounding would leave it at 1e-17 or just above 1
    low = 0.0 if correct == 0 else (centre - half) / scale
    high = 1.0 if correct == total else (centre + half) / scale
    return low, high


def _flat(image: Images) -> NDArray[np.float32]:
    return np.asarray(image, np.float32).reshape(len(image), -1)

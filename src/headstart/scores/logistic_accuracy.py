"""Cross-validated accuracy of a logistic regression on standardised features."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from headstart.scores.feature_arrays import Features, feature_matrix, target_classes

STRENGTHS = (0.001, 0.01, 0.1, 1.0)  # scikit-learn's C
ITERATIONS = 300


def logistic_accuracy(features: Features, labels: ArrayLike, *, folds: int = 5, seed: int = 0) -> float:
    """The share of images that are classified right while left out, at the best of four penalties, from 0 to 1.

    The folds are stratified; a class with fewer images than folds has them in as many as it can. The choice of the
    penalty makes it a little too good, by the same rule for all source models.

    Args:
        features: An array (N, D) or its shards; all are in memory.
        labels: Classes as integers (N,).
        folds: At least 2, and at most the number of images.
        seed: Of the folds.

    Raises:
        ValueError: Where features or labels cannot be used, or no class has two images.
    """
    matrix = feature_matrix(features)
    classes = target_classes(labels, len(matrix))
    number = min(folds, int(classes.counts.max()))
    if number < 2:
        raise ValueError("cross-validation needs two images of a class, but each class has one; take more images")
    right = np.zeros(len(STRENGTHS))
    with warnings.catch_warnings():
        # fewer images than folds in a class; a fit that is nearly converged
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        splits = list(StratifiedKFold(number, shuffle=True, random_state=seed).split(matrix, classes.index))
        for position, strength in enumerate(STRENGTHS):
            for train, held in splits:
                if len(set(classes.index[train])) < 2:
                    continue
                model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=ITERATIONS))
                model.fit(matrix[train], classes.index[train])
                right[position] += float((model.predict(matrix[held]) == classes.index[held]).sum())
    return float(right.max() / len(matrix))

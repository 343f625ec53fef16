"""Accuracy of k nearest neighbours on features, each image left out in turn."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from headstart.scores.feature_arrays import Features, feature_matrix, target_classes


def neighbour_accuracy(features: Features, labels: ArrayLike, *, k: int = 5) -> float:
    """The share of images whose class most of their k nearest others have, from 0 to 1.

    Nearness is the cosine of the features less their mean over all images; of classes with as many votes, the one of
    the nearest image counts. k is at most the number of other images.

    Args:
        features: An array (N, D) or its shards; all are in memory.
        labels: Classes as integers (N,).
        k: Neighbours that vote, at least 1.

    Raises:
        ValueError: Where features or labels cannot be used, or k is below 1.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    matrix = feature_matrix(features)
    classes = target_classes(labels, len(matrix))
    matrix = matrix - matrix.mean(axis=0)
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    matrix /= np.where(lengths > 0, lengths, np.inf)
    voters, right = min(k, len(matrix) - 1), 0
    for first in range(0, len(matrix), 1024):
        near = matrix[first : first + 1024] @ matrix.T
        near[np.arange(len(near)), first + np.arange(len(near))] = -np.inf
        nearest = np.argsort(-near, axis=1, kind="stable")[:, :voters]
        votes = np.zeros((len(near), classes.number))
        # a nearer neighbour's vote counts for a little more, which only decides between equal counts
        np.add.at(votes, (np.arange(len(near))[:, None], classes.index[nearest]), 1 + 1e-3 * 0.5 ** np.arange(voters))
        right += int((votes.argmax(axis=1) == classes.index[first : first + 1024]).sum())
    return right / len(matrix)

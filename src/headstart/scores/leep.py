"""LEEP: the log-likelihood of the target's labels, given the source model's own predictions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from headstart.scores.feature_arrays import Floats, TargetClasses, probability_matrix, target_classes


def leep(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """(1/N) Σ ln Σ_z P(y|z) θ(x)_z, at most 0; more is better.

    P(y, z) = (1/N) Σ θ(x)_z over the images of the class y. The order of the source's classes is free.
    Nguyen et al. 2020, LEEP: A New Measure to Evaluate Transferability of Learned Representations (ICML), eq. 2.

    Args:
        probabilities: The source model's softmax θ over its Z classes, for the target's images (N, Z).
        labels: The target's classes as integers (N,).

    Raises:
        ValueError: Where the rows are no distributions, or labels cannot be used.
    """
    theta = probability_matrix(probabilities)
    return expected_log_likelihood(theta, target_classes(labels, len(theta)))


def joint_probabilities(theta: Floats, classes: TargetClasses) -> Floats:
    """P(y, z), (C, Z).

    Args:
        theta: The distribution over z of each image (N, Z).
        classes: The target's classes.
    """
    joint = np.zeros((classes.number, theta.shape[1]))
    np.add.at(joint, classes.index, theta)
    return joint / len(theta)


def expected_log_likelihood(theta: Floats, classes: TargetClasses) -> float:
    """LEEP of distributions over any z.

    Args:
        theta: The distribution over z of each image (N, Z).
        classes: The target's classes.
    """
    joint = joint_probabilities(theta, classes)
    marginal = joint.sum(axis=0)
    conditional = joint / np.where(marginal > 0, marginal, 1)  # P(y|z); a z that no image has adds nothing
    likelihood = np.einsum("nz,nz->n", theta, conditional[classes.index])
    return float(np.log(likelihood).mean())

"""NCE: the negative conditional entropy of the target's labels, given the source's predicted classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from headstart.scores.feature_arrays import probability_matrix, target_classes
from headstart.scores.leep import joint_probabilities


def nce(predictions: ArrayLike, labels: ArrayLike) -> float:
    """-H(Y|Z) = Σ P(y, z) ln(P(y, z) / P(z)), at most 0; more is better.

    Tran et al. 2019, Transferability and Hardness of Supervised Classification Tasks (ICCV), eq. 4.

    Args:
        predictions: The source's class of each of the target's images, integers (N,), or the source model's softmax
            (N, Z), of which the largest counts (the first of several).
        labels: The target's classes as integers (N,).

    Raises:
        ValueError: Where predictions or labels cannot be used.
    """
    values = np.asarray(predictions)
    source = probability_matrix(values).argmax(axis=1) if values.ndim == 2 else values
    if not np.issubdtype(source.dtype, np.integer):
        raise ValueError(f"predictions must be classes as integers or a softmax (images, classes), got {source.dtype}")
    classes = target_classes(labels, len(source))
    _, z = np.unique(source, return_inverse=True)
    joint = joint_probabilities(np.eye(int(z.max()) + 1)[z], classes)
    share = joint / joint.sum(axis=0)
    return float((joint[joint > 0] * np.log(share[joint > 0])).sum())

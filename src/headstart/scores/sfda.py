"""SFDA: how well Fisher's discriminant tells the classes apart after its sure images have been made harder."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax

from headstart.scores.discriminant import discriminant_shrinkage, fitted_discriminant
from headstart.scores.feature_arrays import Features, Floats, feature_blocks
from headstart.scores.feature_moments import feature_moments, moments_of_blocks


def sfda(features: Features, labels: ArrayLike) -> float:
    """The mean of ln p(y|x) by a second discriminant, at most 0; more is better.

    The first discriminant gives p; its softmax says how much of an image's features is kept, and the rest is the mean
    of the other classes' means (ConfMix); the second discriminant has the same shrinkage. The authors' code takes the
    mean of p in place of that of ln p. Rotating and shifting the features change nothing.
    Shao et al. 2022, Not All Models Are Equal: Predicting Model Transferability in a Self-challenging Fisher Space
    (ECCV), eq. 4 to 10.

    Args:
        features: An array (N, D) or its shards.
        labels: Classes as integers (N,).

    Raises:
        ValueError: Where features or labels cannot be used.
    """
    moments = feature_moments(features, labels)
    classes, shrinkage = moments.classes, discriminant_shrinkage(moments)
    first_discriminant = fitted_discriminant(moments, shrinkage)
    means = moments.class_means + moments.origin
    others = (means.sum(axis=0) - means) / (classes.number - 1)

    def mixed() -> Iterator[tuple[int, Floats]]:
        for first, block in feature_blocks(features):
            label = classes.index[first : first + len(block)]
            sure = softmax(np.exp(first_discriminant.log_posterior(block)), axis=1)[np.arange(len(block)), label, None]
            yield first, sure * block + (1 - sure) * others[label]

    second_discriminant = fitted_discriminant(moments_of_blocks(mixed(), classes), shrinkage)
    return second_discriminant.mean_log_likelihood(mixed(), classes)

"""ETran: the energy of the features, and how well a linear discriminant tells the classes apart."""

from __future__ import annotations

from numpy.typing import ArrayLike
from scipy.special import logsumexp

from headstart.scores.discriminant import discriminant_shrinkage, fitted_discriminant
from headstart.scores.feature_arrays import Features, feature_blocks, number_of_images
from headstart.scores.feature_moments import feature_moments


def etran_energy(logits: Features) -> float:
    """The mean over the images of ln Σ exp(f), the negative energy at the temperature 1; more is better.

    It reads no labels. A shift of all features adds to it.
    Gholami et al. 2023, ETran: Energy-Based Transferability Estimation (ICCV), eq. 3.

    Args:
        logits: The source model's logits or features, an array (N, D) or its shards.

    Raises:
        ValueError: Where they cannot be used.
    """
    total = sum(float(logsumexp(block, axis=1).sum()) for _, block in feature_blocks(logits))
    return total / number_of_images(logits)


def etran_classification(features: Features, labels: ArrayLike) -> float:
    """The mean of ln p(y|x) by a linear discriminant of the features, at most 0; more is better.

    Gholami et al. 2023, section 3.3; the authors' code takes the mean of p. ETran is the sum of this and of the energy,
    each scaled over the candidates, and so is a figure of a set of candidates, not of one.

    Args:
        features: An array (N, D) or its shards.
        labels: Classes as integers (N,).

    Raises:
        ValueError: Where features or labels cannot be used.
    """
    moments = feature_moments(features, labels)
    discriminant = fitted_discriminant(moments, discriminant_shrinkage(moments))
    return discriminant.mean_log_likelihood(feature_blocks(features), moments.classes)

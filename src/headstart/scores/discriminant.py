"""Fisher's linear discriminant with a within-class covariance that is shrunk by its own largest eigenvalue."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax

from headstart.scores.feature_arrays import Floats, TargetClasses
from headstart.scores.feature_moments import FeatureMoments


def discriminant_shrinkage(moments: FeatureMoments) -> float:
    """max(exp(-5 λ), 1e-10), λ the largest eigenvalue of the within-class covariance (over N).

    Shao et al. 2022, Not All Models Are Equal (ECCV), eq. 4, with the constant of the authors' code.

    Args:
        moments: Of the features by class.
    """
    largest = float(np.linalg.eigvalsh(moments.covariance - moments.between_classes)[-1])
    return max(float(np.exp(-5 * max(largest, 0.0))), 1e-10)


@dataclass(frozen=True)
class Discriminant:
    """Class probabilities that are linear in the features.

    Args:
        centre: (D,), the mean of all features.
        directions: (D, C), S⁻¹ (μ_c - centre), with S = (1 - λ) S_w + λ tr(S_w)/D I.
        offsets: (C,), the log of a class's share less half of (μ_c - centre)ᵀ S⁻¹ (μ_c - centre).
    """

    centre: Floats
    directions: Floats
    offsets: Floats

    def log_posterior(self, block: Floats) -> Floats:
        """ln p(class | features), (n, C).

        Args:
            block: Features (n, D).
        """
        # less the centre: the logits of all classes move by one number, and keep their digits
        return np.asarray(log_softmax((block - self.centre) @ self.directions + self.offsets, axis=1))

    def mean_log_likelihood(self, blocks: Iterable[tuple[int, Floats]], classes: TargetClasses) -> float:
        """The mean over the images of ln p(label | features).

        Args:
            blocks: Of features (n, D), each with the number of its first row.
            classes: The target's classes.
        """
        total = 0.0
        for first, block in blocks:
            labels = classes.index[first : first + len(block)]
            total += float(self.log_posterior(block)[np.arange(len(block)), labels].sum())
        return total / len(classes.index)


def fitted_discriminant(moments: FeatureMoments, shrinkage: float) -> Discriminant:
    """The discriminant of the images that the moments are of.

    Args:
        moments: Of the features by class.
        shrinkage: λ, from 0 to 1.
    """
    within = moments.covariance - moments.between_classes
    width, away = len(within), moments.class_means - moments.mean
    level = max(float(np.trace(within)) / width, 1e-12 * float(np.trace(moments.covariance)) / width, 1e-300)
    shrunk = (1 - shrinkage) * within + shrinkage * level * np.eye(width)
    values, vectors = np.linalg.eigh(shrunk)
    values = np.maximum(values, max(shrinkage * level, values[-1] * width * np.finfo(float).eps, 1e-300))
    directions = vectors @ ((vectors.T @ away.T) / values[:, None])
    offsets = np.log(moments.classes.shares) - np.einsum("cd,dc->c", away, directions) / 2
    return Discriminant(moments.origin + moments.mean, directions, offsets)

"""N-LEEP: LEEP with the clusters of the features in place of the source's classes."""

from __future__ import annotations

import warnings

from numpy.typing import ArrayLike
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from headstart.scores.feature_arrays import Features, feature_matrix, probability_matrix, target_classes
from headstart.scores.leep import expected_log_likelihood


def n_leep(
    features: Features,
    labels: ArrayLike,
    *,
    components_per_class: int = 5,
    variance: float = 0.8,
    most_directions: int = 128,
    seed: int = 0,
) -> float:
    """LEEP of the responsibilities of a Gaussian mixture on the features' principal components; at most 0.

    Li et al. 2021, Ranking Neural Checkpoints (CVPR), section 4.3. Where there are fewer images than components, each
    image is one. The paper has no limit to the principal components; without one, noise in thousands of features takes
    minutes, as each Gaussian has a covariance of all pairs of components. Rotating and shifting the features changes
    nothing but the mixture's random start.

    Args:
        features: An array (N, D) or its shards; all are in memory, N of some thousands.
        labels: Classes as integers (N,).
        components_per_class: Gaussians of the mixture for each class.
        variance: The share of variance that the principal components keep, above 0 and at most 1.
        most_directions: The principal components that are kept at most.
        seed: Of the mixture's start.

    Raises:
        ValueError: Where features or labels cannot be used.
    """
    matrix = feature_matrix(features)
    classes = target_classes(labels, len(matrix))
    if (matrix == matrix[0]).all():  # one cluster, which says nothing of the class
        return expected_log_likelihood(matrix[:, :1] * 0 + 1, classes)
    directions = PCA(n_components=variance if variance < 1 else None, svd_solver="full").fit_transform(matrix)
    reduced = directions[:, :most_directions]  # the first ones have the most variance
    components = min(components_per_class * classes.number, len(matrix))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a mixture that is nearly converged ranks as well
        mixture = GaussianMixture(components, random_state=seed, reg_covar=1e-6 * float(reduced.var()) + 1e-12)
        return expected_log_likelihood(probability_matrix(mixture.fit(reduced).predict_proba(reduced)), classes)

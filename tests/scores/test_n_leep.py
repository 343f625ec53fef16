"""N-LEEP by hand, where the mixture's clusters are known, and with as many principal components as are kept."""

import numpy as np
import pytest

from headstart import scores


def test_of_clusters_far_apart_it_is_the_likelihood_of_the_classes_within_each():
    """Four clusters of 20 images in 3 dimensions; 15, 20, 4 and 0 of them are of the first class."""
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0, 0], [50, 0, 0], [0, 70, 0], [0, 0, 90]])
    features = np.repeat(centres, 20, axis=0) + rng.normal(size=(80, 3))
    counts = [15, 20, 4, 0]
    labels = np.concatenate([[0] * count + [1] * (20 - count) for count in counts])
    terms = [15 * np.log(15 / 20), 5 * np.log(5 / 20), 20 * np.log(1), 4 * np.log(4 / 20), 16 * np.log(16 / 20), 0]
    assert scores.n_leep(features, labels, components_per_class=2) == pytest.approx(sum(terms) / 80, abs=1e-9)


def test_it_reads_the_first_principal_components_alone():
    """By numpy's singular values: 3 directions of 12, or those that together have 80 % of the variance."""
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], 40)
    features = rng.normal(size=(80, 12)) * np.linspace(3, 0.5, 12)
    features[:, 0] += 2 * labels
    centred = features - features.mean(axis=0)
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    share = np.cumsum(singular**2) / np.sum(singular**2)
    enough = int(np.argmax(share >= 0.8)) + 1
    assert 3 < enough < 12
    for most, kept in ((3, 3), (12, enough)):
        projected = centred @ directions[:kept].T
        want = scores.n_leep(projected, labels, variance=1)
        assert scores.n_leep(features, labels, most_directions=most) == pytest.approx(want, abs=1e-6)

"""Scores of six images with two features, computed by hand and by a second program."""

import numpy as np
import pytest

from headstart import scores

FEATURES = np.array([[1, 0], [2, 0], [2, 1], [0, 1], [0, 2], [1, 3]], dtype=float)
LABELS = np.array([0, 0, 0, 1, 1, 1])
SURE = np.array([0.9, 0.8, 0.6, 0.3, 0.2, 0.4])
SOFTMAX = np.stack([SURE, 1 - SURE], axis=1)
THREE = np.column_stack([FEATURES, [0, 1, 0, 2, 1, 1]])

BY_HAND = {
    "leep": (scores.leep(SOFTMAX, LABELS), -0.498685),
    "nce": (scores.nce(np.array([0, 0, 1, 1, 1, 1]), LABELS), -0.374890),
    "logme": (scores.logme(FEATURES, LABELS), -0.706067),
    "logme of one class": (scores.logme(FEATURES, (LABELS == 0).astype(float)), -0.675188),
    "logme of the other class": (scores.logme(FEATURES, (LABELS == 1).astype(float)), -0.736945),
    "logme of shifted features": (scores.logme(FEATURES + 5, LABELS), -0.578392),
    "h_score": (scores.h_score(FEATURES, LABELS), 0.923810),
    "regularised h_score": (scores.regularised_h_score(FEATURES, LABELS), 0.009209),
    "gbc": (scores.gbc(FEATURES, LABELS), -0.313479),
    "spherical gbc": (scores.gbc(FEATURES, LABELS, covariance="spherical"), -0.341613),
    "parc": (scores.parc(THREE, LABELS), 85.042006),
    "transrate": (scores.transrate(FEATURES, LABELS), 0.042173),
    "energy": (scores.etran_energy(2 * np.log(SOFTMAX)), -0.470393),
    # the features less their mean: (0,-7), (6,-7), (6,-1), (-6,-1), (-6,5), (0,11) sixths
    "one neighbour": (scores.neighbour_accuracy(FEATURES, LABELS, k=1), 1.0),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_scores_by_hand(name):
    value, expected = BY_HAND[name]
    assert value == pytest.approx(expected, abs=1e-6)

"""Laws that hold for every set of features, and what scores do with input that says nothing."""

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import ortho_group

from headstart import scores

OF_FEATURES = {
    "logme": scores.logme,
    "h_score": scores.h_score,
    "regularised_h_score": scores.regularised_h_score,
    "gbc": scores.gbc,
    "spherical_gbc": lambda features, labels: scores.gbc(features, labels, covariance="spherical"),
    "parc": scores.parc,
    "transrate": scores.transrate,
    "sfda": scores.sfda,
    "etran_classification": scores.etran_classification,
    "n_leep": scores.n_leep,
    "neighbour_accuracy": scores.neighbour_accuracy,
    "logistic_accuracy": scores.logistic_accuracy,
}
AFTER_A_ROTATION_OTHER = {"gbc", "parc", "logistic_accuracy", "n_leep"}
AFTER_A_SHIFT_OTHER = {"logme"}


def cloud(images=80, width=6, classes=4, apart=1.0, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(images) % classes
    return rng.normal(size=(images, width)) + apart * rng.normal(size=(classes, width))[labels], labels


@pytest.mark.parametrize("name", sorted(OF_FEATURES.keys() - AFTER_A_ROTATION_OTHER))
def test_a_rotation_of_the_features_changes_nothing(name):
    features, labels = cloud()
    turned = features @ ortho_group(6, seed=1).rvs()
    assert OF_FEATURES[name](turned, labels) == pytest.approx(OF_FEATURES[name](features, labels), abs=1e-7)


@pytest.mark.parametrize("name", sorted(OF_FEATURES.keys() - AFTER_A_SHIFT_OTHER - {"n_leep"}))
def test_a_shift_of_the_features_changes_nothing(name):
    features, labels = cloud()
    assert OF_FEATURES[name](features + 50, labels) == pytest.approx(OF_FEATURES[name](features, labels), abs=1e-6)


@pytest.mark.parametrize("name", sorted(OF_FEATURES))
def test_names_and_order_of_classes_and_images_do_not_matter(name):
    features, labels = cloud()
    order = np.random.default_rng(2).permutation(80)
    renamed = np.array([40, 7, 19, 3])[labels]  # others are missing in between
    changed = OF_FEATURES[name](features[order], renamed[order])
    # folds and the mixture's start are drawn by the order of the images
    slack = 0.08 if name in ("logistic_accuracy", "n_leep") else 1e-9
    assert changed == pytest.approx(OF_FEATURES[name](features, labels), abs=slack)


@pytest.mark.parametrize("name", sorted(OF_FEATURES))
def test_classes_that_lie_apart_score_more(name):
    near, labels = cloud(apart=0.3)
    far, _ = cloud(apart=3.0)
    assert OF_FEATURES[name](far, labels) > OF_FEATURES[name](near, labels)


@pytest.mark.parametrize("name", sorted(OF_FEATURES))
def test_shards_are_one_array(name, monkeypatch):
    features, labels = cloud()
    monkeypatch.setattr("headstart.scores.feature_arrays.BLOCK_ROWS", 16)
    whole = OF_FEATURES[name](features, labels)
    assert OF_FEATURES[name]([features[:30], features[30:31], features[31:]], labels) == pytest.approx(whole, abs=1e-9)


@pytest.mark.parametrize("name", sorted(OF_FEATURES.keys() - {"logistic_accuracy"}))
@pytest.mark.parametrize(
    ("features", "labels"),
    [
        (np.random.default_rng(0).normal(size=(5, 8)), np.arange(5)),  # one image a class
        (np.ones((12, 3)), np.arange(12) % 3),  # constant features
        (np.random.default_rng(1).normal(size=(10, 300)), np.arange(10) % 2),  # more features than images
        (np.eye(3)[np.arange(12) % 3], np.arange(12) % 3),  # features that are the labels
        (np.column_stack([np.zeros(9), np.arange(9.0)]), np.arange(9) % 3),  # a constant feature beside another
    ],
    ids=["one image a class", "constant", "wide", "labels", "half constant"],
)
def test_degenerate_features_have_a_finite_score(name, features, labels):
    assert np.isfinite(OF_FEATURES[name](features, labels))


def test_constant_features_tell_nothing():
    constant, labels = np.full((12, 3), 7.0), np.arange(12) % 3
    assert scores.h_score(constant, labels) == scores.regularised_h_score(constant, labels) == 0
    assert scores.gbc(constant, labels) == -6  # all three classes overlap: C (C - 1)
    assert scores.parc(constant, labels) == 0
    assert scores.transrate(constant, labels) == 0
    assert scores.etran_classification(constant, labels) == pytest.approx(np.log(1 / 3))
    assert scores.n_leep(constant, labels) == pytest.approx(np.log(1 / 3))


def test_leep_and_nce_are_at_most_0_and_are_0_for_one_source_class_a_class():
    labels = np.arange(60) % 3
    for seed in range(20):
        theta = softmax(np.random.default_rng(seed).normal(size=(60, 5)) * 3, axis=1)
        assert scores.leep(theta, labels) <= 0
        assert scores.nce(theta, labels) <= 0
        # the best that a predictor of z can say of y in the mean is at least what LEEP's mixture says
    perfect = np.eye(5)[[4, 0, 2]][labels]
    assert scores.leep(perfect, labels) == scores.nce(perfect, labels) == 0
    blind = np.full((60, 5), 0.2)
    assert scores.leep(blind, labels) == pytest.approx(np.log(1 / 3))  # the entropy of the labels
    assert scores.nce(blind, labels) == pytest.approx(np.log(1 / 3))


def test_noise_that_is_as_wide_as_it_is_long_has_the_largest_h_score():
    """5 classes, 100 images, 512 features of noise: 4.0, the maximum; regularised below 1."""
    noise, labels = np.random.default_rng(0).normal(size=(100, 512)), np.arange(100) % 5
    assert scores.h_score(noise, labels) == pytest.approx(4, abs=1e-6)
    assert scores.regularised_h_score(noise, labels) < 1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: scores.logme(np.ones((3, 2)), [0, 1]), "2 labels and 3 images"),
        (lambda: scores.gbc(np.ones((3, 2)), [1, 1, 1]), "all images are of one class"),
        (lambda: scores.h_score(np.full((3, 2), np.nan), [0, 1, 1]), "must be finite"),
        (lambda: scores.parc(np.ones(3), [0, 1, 1]), "must be a matrix"),
        (lambda: scores.parc(np.ones((3, 1)), [0, 1, 1]), "2 features or more"),
        (lambda: scores.leep(np.ones((3, 2)), [0, 1, 1]), "sum to 1"),
        (lambda: scores.leep(np.full((2, 3), 1 / 3), [0, 1, 1]), "3 labels and 2 images"),
        (lambda: scores.nce(np.array([0.1, 0.2]), [0, 1]), "classes as integers"),
        (lambda: scores.transrate(np.ones((3, 2)), [0, 1, 1], distortion=0), "above 0"),
        (lambda: scores.logistic_accuracy(np.ones((3, 2)), [0, 1, 2]), "two images of a class"),
        (lambda: scores.sfda(np.ones((3, 2)), [0.5, 1, 1]), "vector of integers"),
    ],
)
def test_what_cannot_be_scored_is_said(call, words):
    with pytest.raises(ValueError, match=words):
        call()

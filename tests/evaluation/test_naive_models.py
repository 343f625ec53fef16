"""Naive models answer as independent computations of them do."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import binomtest

from headstart.evaluation.naive_models import (
    STRENGTH,
    class_means_accuracy,
    logistic_regression_accuracy,
    majority_accuracy,
    naive_accuracies,
    wilson_interval,
)


def clouds(count: int, seed: int, classes: int = 4, spread: float = 2.0):
    """Overlapping clouds of images (count, 3, 3); labels from 10 on, so that none is its own position."""
    chance = np.random.default_rng(seed)
    label = chance.integers(0, classes, count)
    centre = np.random.default_rng(99).normal(size=(classes, 3, 3))
    return centre[label] + spread * chance.normal(size=(count, 3, 3)), label + 10


def test_majority_is_the_share_of_the_most_frequent_training_label():
    assert majority_accuracy(np.array([3, 7, 7, 3, 7]), np.array([7, 3, 3, 3])) == 0.25


def test_of_two_equally_frequent_labels_majority_says_the_smaller():
    assert majority_accuracy(np.array([7, 3]), np.array([3, 3, 7])) == pytest.approx(2 / 3)


def test_class_means_by_hand():
    train = np.array([[[0, 0]], [[2, 0]], [[10, 0]], [[10, 4]]], np.uint8)  # means (1, 0) and (10, 2)
    test = np.array([[[5, 0]], [[5, 6]], [[9, 9]], [[0, 255]]], np.uint8)
    # squared distances: 16 and 29; 52 and 41; 145 and 50; 65026 and 64109
    assert class_means_accuracy(train, np.array([5, 5, 2, 2]), test, np.array([5, 2, 2, 2])) == 1
    assert class_means_accuracy(train, np.array([5, 5, 2, 2]), test, np.array([5, 5, 2, 5])) == 0.5


def test_class_means_match_numpy_in_the_plain_form():
    (train, labels), (test, truth) = clouds(80, 0), clouds(300, 1)
    means = {label: train[labels == label].mean(0) for label in set(labels.tolist())}
    nearest = [min(means, key=lambda label: np.linalg.norm(image - means[label])) for image in test]
    assert class_means_accuracy(train, labels, test, truth) == pytest.approx(np.mean(np.array(nearest) == truth))


def test_logistic_regression_matches_its_own_likelihood_minimised_elsewhere():
    (train, labels), (test, truth) = clouds(120, 0), clouds(400, 1)
    x, t = (images.reshape(len(images), -1) for images in (train, test))
    x, t = (x - x.mean(0)) / x.std(0), (t - x.mean(0)) / x.std(0)
    hot = labels[:, None] == np.arange(10, 14)

    def loss(parameters):  # scikit-learn's: C times the summed cross-entropy, plus half the squared weights
        weight, bias = parameters[:36].reshape(9, 4), parameters[36:]
        logits = x @ weight + bias
        entropy = np.log(np.exp(logits).sum(1)).sum() - logits[hot].sum()
        return STRENGTH * entropy + (weight**2).sum() / 2

    found = minimize(loss, np.zeros(40), method="BFGS").x
    answers = (t @ found[:36].reshape(9, 4) + found[36:]).argmax(1) + 10
    assert logistic_regression_accuracy(train, labels, test, truth) == pytest.approx(
        np.mean(answers == truth), abs=1 / 400
    )


def test_a_pixel_that_never_changes_does_no_harm():
    (train, labels), (test, truth) = clouds(80, 0), clouds(200, 1)
    train[:, 0, 0] = test[:, 0, 0] = 5
    assert np.isfinite(logistic_regression_accuracy(train, labels, test, truth))


def test_naive_accuracies_are_the_three_by_name_and_the_same_twice():
    split = (*clouds(80, 0), *clouds(200, 1))
    accuracies = naive_accuracies(*split)
    assert accuracies == {
        "majority": majority_accuracy(split[1], split[3]),
        "class_means": class_means_accuracy(*split),
        "logistic_regression": logistic_regression_accuracy(*split),
    }
    assert accuracies == naive_accuracies(*split)
    assert all(type(accuracy) is float for accuracy in accuracies.values())


def test_the_scale_and_the_type_of_the_pixels_do_not_matter():
    chance = np.random.default_rng(0)
    images, labels = chance.integers(0, 256, (60, 4, 4), dtype=np.uint8), chance.integers(0, 3, 60)
    scaled = (images / 255 - 0.3) / 0.35
    assert naive_accuracies(images[:40], labels[:40], images[40:], labels[40:]) == naive_accuracies(
        scaled[:40], labels[:40], scaled[40:], labels[40:]
    )


@pytest.mark.parametrize(("correct", "total"), [(0, 1), (1, 1), (0, 20), (20, 20), (7, 20), (655, 740), (1, 9999)])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_wilson_matches_scipy(correct, total, confidence):
    want = binomtest(correct, total).proportion_ci(confidence, method="wilson")
    assert wilson_interval(correct, total, confidence) == pytest.approx((want.low, want.high), abs=1e-12)


@pytest.mark.parametrize(("correct", "total"), [(3, 2), (-1, 2), (0, 0)])
def test_impossible_counts_are_refused(correct, total):
    with pytest.raises(ValueError, match=f"got {correct} of {total}"):
        wilson_interval(correct, total)

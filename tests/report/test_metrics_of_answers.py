"""Metrics of stored predictions equal scikit-learn's, and contributions of images have the metric as their mean."""

import numpy as np
import pytest
from sklearn.metrics import (
    balanced_accuracy_score,
    cohen_kappa_score,
    matthews_corrcoef,
    mean_absolute_error,
    r2_score,
    root_mean_squared_error,
)

from headstart.report.stored_runs.stored_predictions import _CLASS_METRICS, _NUMBER_METRICS, StoredPredictions

CHANCE = np.random.default_rng(0)


@pytest.mark.parametrize(("name", "theirs"), [("cohen_kappa", cohen_kappa_score), ("matthews", matthews_corrcoef)])
@pytest.mark.parametrize("classes", [2, 5])
def test_agreement_of_classes(name, theirs, classes):
    label = CHANCE.integers(0, classes, 60)
    predicted = np.where(CHANCE.random(60) < 0.6, label, CHANCE.integers(0, classes, 60))
    assert _CLASS_METRICS[name](predicted, label) == pytest.approx(theirs(label, predicted))
    assert _CLASS_METRICS["matthews"](np.zeros(60, int), label) == 0


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_balanced_accuracy_leaves_out_a_class_that_no_image_has():
    predicted, label = np.array([0, 2, 1, 1, 2]), np.array([0, 0, 1, 1, 1])
    want = balanced_accuracy_score(label, predicted)
    assert _CLASS_METRICS["balanced_accuracy"](predicted, label) == pytest.approx(want)


@pytest.mark.parametrize("error", [0.0, 1.0])
def test_r_squared_of_equal_numbers_is_that_of_scikit_learn(error):
    label = np.stack([np.full(5, 3.0), np.arange(5.0)], axis=1)
    assert _NUMBER_METRICS["r2"](label + error, label) == pytest.approx(r2_score(label, label + error))


def numbers(images=200):
    label = CHANCE.normal(40, [5, 0.1], (images, 2))
    predicted = label + CHANCE.normal(0, [2, 0.05], (3, images, 2))
    return StoredPredictions(
        image=np.arange(images, dtype=np.uint64), label=label, step=np.arange(3), predicted=None,
        loss=None, logits=None, numbers=predicted, closed_form=predicted[0],
    )  # fmt: skip


def test_errors_of_numbers():
    stored = numbers()
    assert _NUMBER_METRICS["r2"](stored.numbers[0], stored.label) == pytest.approx(
        r2_score(stored.label, stored.numbers[0])
    )
    assert _NUMBER_METRICS["rmse"](stored.numbers[0], stored.label) == pytest.approx(
        root_mean_squared_error(stored.label, stored.numbers[0])
    )


def test_each_images_error_has_the_mean_error_as_its_mean_and_pseudo_values_come_near_r_squared():
    stored = numbers()
    want = [mean_absolute_error(stored.label, predicted) for predicted in stored.numbers]
    assert stored.rows("mae").value.mean(axis=1).tolist() == pytest.approx(want)
    assert stored.closed_form_rows("mae").value.mean() == pytest.approx(want[0])
    scores = [r2_score(stored.label, predicted) for predicted in stored.numbers]
    assert stored.rows("r2").value.mean(axis=1).tolist() == pytest.approx(scores, abs=0.01)
    assert stored.rows("accuracy") is None
    some = stored.taken(np.array([3, 5]))
    np.testing.assert_array_equal(some.numbers, stored.numbers[:, [3, 5]])

"""Scores of a class equal scikit-learn's; calibration equals a hand computation and torchmetrics."""

import numpy as np
import pytest
import torch
from sklearn.metrics import classification_report
from sklearn.metrics import confusion_matrix as theirs
from torchmetrics.functional.classification import multiclass_calibration_error

from headstart.evaluation.class_scores import class_scores, confusion_matrix
from headstart.evaluation.confidence.calibration import expected_calibration_error, reliability


def test_the_scores_of_classes_are_scikit_learns_also_of_a_class_without_images_or_predictions():
    chance = np.random.default_rng(0)
    true, predicted = chance.integers(0, 5, 200), chance.integers(1, 6, 200)  # 5 is never true, 0 never predicted
    counts = confusion_matrix(predicted, true, 6)
    np.testing.assert_array_equal(counts, theirs(true, predicted, labels=range(6)))
    report = classification_report(true, predicted, labels=range(6), output_dict=True, zero_division=0)
    for number, score in enumerate(class_scores(counts)):
        want = report[str(number)]
        assert score == pytest.approx((want["precision"], want["recall"], want["f1-score"], want["support"]))


def test_a_reliability_table_of_four_images_by_hand():
    """0.50 and 0.52 lie in the bin from 7/15 to 8/15, one of two is right; 0.95 and 1 in the last, both right."""
    said, right = np.array([0.50, 0.52, 0.95, 1.0]), np.array([True, False, True, True])
    table = reliability(said, right)
    assert len(table) == 15
    assert [number for number, one in enumerate(table) if one.images] == [7, 14]
    assert table[7] == pytest.approx((7 / 15, 8 / 15, 2, 0.51, 0.5))
    assert table[14] == pytest.approx((14 / 15, 1, 2, 0.975, 1))
    assert np.isnan(table[0].accuracy)
    assert expected_calibration_error(said, right) == pytest.approx((2 * 0.01 + 0.05) / 4)


@pytest.mark.parametrize("scale", [0.5, 3, 60])  # of 60, many probabilities are exactly 1
def test_the_expected_calibration_error_is_that_of_torchmetrics(scale):
    logits = scale * torch.randn(400, 7, generator=torch.Generator().manual_seed(0))
    label = torch.randint(0, 7, (400,), generator=torch.Generator().manual_seed(1))
    probability, predicted = logits.softmax(dim=1).max(dim=1)
    got = expected_calibration_error(probability.numpy(), (predicted == label).numpy())
    assert got == pytest.approx(multiclass_calibration_error(logits, label, 7, n_bins=15).item(), abs=1e-6)

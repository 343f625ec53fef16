"""The choice among models by val, in the direction of the metric."""

import math

import pytest

from headstart.evaluation.choice_by_val import best_first, is_no_worse


def models(metric, *pairs):
    return [{metric: value, "val/loss": loss} for value, loss in pairs]


@pytest.mark.parametrize(
    ("metric", "want"),
    [("val/accuracy", [2, 0, 1]), ("val/mae", [1, 0, 2]), ("val/calibration_error", [1, 0, 2]), ("val/r2", [2, 0, 1])],
)
def test_of_errors_the_lower_one_is_the_better(metric, want):
    assert best_first(models(metric, (0.5, 1), (0.4, 1), (0.6, 1)), metric) == want


def test_of_equals_the_lower_loss_decides_and_then_the_earlier():
    assert best_first(models("val/map", (0.5, 2), (0.5, 1), (0.5, 1)), "val/map") == [1, 2, 0]


@pytest.mark.parametrize("lost", [math.nan, math.inf])
def test_what_is_no_number_is_never_chosen(lost):
    assert best_first(models("val/mae", (lost, 1), (0.4, lost), (0.6, 1)), "val/mae") == [2]
    assert not is_no_worse({"val/mae": math.nan}, {"val/mae": 1.0}, "val/mae")


def test_a_mean_is_taken_where_its_error_is_not_larger():
    assert is_no_worse({"val/mae": 1.0}, {"val/mae": 1.0}, "val/mae")
    assert is_no_worse({"val/mae": 0.9}, {"val/mae": 1.0}, "val/mae")
    assert not is_no_worse({"val/mae": 1.1}, {"val/mae": 1.0}, "val/mae")
    assert not is_no_worse({"val/accuracy": 0.8}, {"val/accuracy": 0.9}, "val/accuracy")

"""Abstention by a case that a person can compute, and its laws."""

import numpy as np
import pytest

from headstart.evaluation.confidence.abstention_picture import abstention_figure, write_coverage
from headstart.evaluation.confidence.risk_coverage import accuracy_at, area_under_risk, coverage_curve, least_area

SURE = np.array([0.9, 0.6, 0.8, 0.7])
RIGHT = np.array([True, False, False, True])  # from the surest on: right, wrong, right, wrong


def test_four_answers_by_hand():
    curve = coverage_curve(SURE, RIGHT)
    assert [point.coverage for point in curve] == [0.25, 0.5, 0.75, 1.0]
    assert [point.threshold for point in curve] == [0.9, 0.8, 0.7, 0.6]
    assert [point.accuracy for point in curve] == pytest.approx([1, 1 / 2, 2 / 3, 1 / 2])
    assert area_under_risk(SURE, RIGHT) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert least_area(RIGHT) == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)
    assert accuracy_at(curve, 0.6).images == 3


def test_equal_answers_are_all_given_or_none_and_count_as_in_random_order():
    sure, right = np.array([0.9, 0.5, 0.5, 0.5]), np.array([True, True, False, False])
    curve = coverage_curve(sure, right)
    assert [point.images for point in curve] == [1, 4]
    rng, orders = np.random.default_rng(0), []
    for _ in range(4000):
        tail = rng.permutation(right[1:])
        orders.append(np.mean(np.cumsum(~np.append(right[:1], tail)) / np.arange(1, 5)))
    assert area_under_risk(sure, right) == pytest.approx(np.mean(orders), abs=0.005)


def test_the_order_of_the_images_and_a_rising_map_of_the_confidence_change_nothing():
    rng = np.random.default_rng(1)
    sure, right = rng.random(200).round(2), rng.random(200) < 0.7
    order = rng.permutation(200)
    assert area_under_risk(sure, right) == pytest.approx(area_under_risk(sure[order] ** 3, right[order]))
    assert coverage_curve(sure, right)[-1].accuracy == pytest.approx(right.mean())
    assert least_area(right) <= area_under_risk(sure, right) <= area_under_risk(-right.astype(float), right)


def test_confidence_that_says_nothing_has_the_error_as_its_area():
    right = np.array([True, True, False, True])
    assert area_under_risk(np.full(4, 0.5), right) == pytest.approx(0.25)


def test_the_table_has_a_row_for_each_point(tmp_path):
    curve = coverage_curve(SURE, RIGHT)
    write_coverage(tmp_path / "curve.csv", curve)
    rows = (tmp_path / "curve.csv").read_text().splitlines()
    assert rows[0] == "coverage,images,accuracy,risk,least_probability"
    assert rows[3] == "0.750000,3,0.666667,0.333333,0.700000"
    line = abstention_figure(curve, 1 / 3).axes[0].lines[0]
    np.testing.assert_allclose(line.get_ydata(), [point.accuracy for point in curve])

"""Rank correlation and regret of scores over targets, against planted truths."""

import numpy as np
import pytest

from headstart.report.statistics.score_checking import (
    RANDOM,
    Outcomes,
    by_chance,
    checked_scores,
    measures_of,
    outcomes,
)

TRUTH = np.array([[0.9, 0.8, 0.5], [0.6, 0.7, 0.2]])
ALL = np.arange(3)


def scores_of(*rows):
    """(targets, 1 seed, models)."""
    return np.array(rows, dtype=np.float64)[:, None]


def test_regret_is_the_best_outcome_less_that_of_the_pick():
    outcome = Outcomes(TRUTH, np.zeros(2))
    found = measures_of(outcome, scores_of([1, 2, 0], [3, 1, 2]), ALL)
    assert found[:, 2] == pytest.approx([0.1, 0.1])
    assert found[:, 1] == pytest.approx([1 / 3, -1 / 3])
    assert by_chance(outcome, ALL)[:, 2] == pytest.approx([0.9 - 2.2 / 3, 0.7 - 1.5 / 3])


def test_of_equal_scores_the_regret_is_the_mean_and_a_model_without_a_score_is_never_the_pick():
    outcome = Outcomes(TRUTH, np.zeros(2))
    found = measures_of(outcome, scores_of([1, 1, 0], [np.nan, 0, 1]), ALL)
    assert found[0, 2] == pytest.approx(0.05)
    assert found[1, 2] == pytest.approx(0.7 - 0.2)


def test_pairs_within_the_tie_do_not_count_in_tau():
    found = measures_of(Outcomes(TRUTH, np.full(2, 0.11)), scores_of([1, 2, 0], [2, 1, 0]), ALL)
    # the first two models are tied in both targets: of the score's three pairs two count, both right
    assert found[:, 1] == pytest.approx([2 / np.sqrt(6)] * 2)


def test_the_tie_is_the_paired_t_interval_of_two_models():
    """Two models, three seeds: the pooled spread is that of their differences, over the square root of 2."""
    values = np.array([[[0.8, 0.7], [0.9, 0.75], [0.7, 0.68]]])
    differences = values[0, :, 0] - values[0, :, 1]
    expected = 4.302653 * differences.std(ddof=1) / np.sqrt(3)  # t(2) at 97.5 %
    assert outcomes(values).tie == pytest.approx([expected], rel=1e-5)
    assert outcomes(values).mean == pytest.approx(values.mean(axis=1))


def test_a_score_that_knows_is_told_from_chance_and_one_that_does_not_is_not():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.5, 0.9, (9, 12))
    knows = truth[:, None] + rng.normal(0, 0.01, (9, 2, 12))
    blind = rng.normal(size=(9, 2, 12))
    found = checked_scores(
        Outcomes(truth, np.full(9, 0.01)), {"knows": knows, "blind": blind}, baselines=("blind",), draws=200, rng=rng
    )
    assert found.values["knows"]["weighted"].low > 0.8
    assert found.against[RANDOM]["knows"]["regret"].high < 0
    assert found.against["blind"]["knows"]["regret"].high < 0
    blindly = found.against[RANDOM]["blind"]["regret"]
    assert blindly.low < 0 < blindly.high
    assert found.values["blind"]["plain"].low < 0 < found.values["blind"]["plain"].high
    assert found.tied_with_best["knows"] > 0.9
    assert set(found.against[RANDOM]) == {"knows", "blind"}

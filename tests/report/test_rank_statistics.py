"""Rank correlation, and intervals of ranks from halves."""

import numpy as np
import pytest
from scipy.stats import kendalltau, weightedtau

from headstart.report.statistics.rank_correlation import null_point, rank_correlation
from headstart.report.statistics.rank_intervals import behind_first, centred_draws, rank_intervals, ranks


@pytest.mark.parametrize("seed", range(5))
def test_both_taus_are_scipys(seed):
    rng = np.random.default_rng(seed)
    truth, score = rng.normal(size=9), np.round(rng.normal(size=9), 0 if seed % 2 else 3)
    assert rank_correlation(truth, score, weighted=False) == pytest.approx(kendalltau(truth, score).statistic)
    assert rank_correlation(truth, score, weighted=True) == pytest.approx(weightedtau(truth, score).statistic)


def test_a_pair_that_is_tied_in_truth_counts_for_nothing():
    truth, score = [3.0, 2.0, 1.0], [2.0, 3.0, 1.0]
    tied = np.zeros((3, 3), dtype=bool)
    tied[0, 1] = tied[1, 0] = True
    assert rank_correlation(truth, score, weighted=False) == pytest.approx(1 / 3)
    # two of the truth's pairs are left, and the score has three: 2 / sqrt(2 * 3)
    assert rank_correlation(truth, score, weighted=False, tied=tied) == pytest.approx(2 / np.sqrt(6))


def test_a_constant_score_has_no_correlation_and_a_constant_truth_none_at_all():
    assert rank_correlation([1.0, 2.0], [5.0, 5.0], weighted=True) == 0
    assert np.isnan(rank_correlation([5.0, 5.0], [1.0, 2.0], weighted=True))


def test_the_null_is_that_of_scipys_tau_over_permutations():
    rng = np.random.default_rng(1)
    scipys = [weightedtau(np.arange(10), rng.permutation(10)).statistic for _ in range(1500)]
    assert np.std(scipys) == pytest.approx(0.29, abs=0.02)
    assert null_point(10, weighted=True) == pytest.approx(np.quantile(scipys, 0.95), abs=0.04)
    assert (
        0.68 < null_point(5, weighted=True) < 0.78
    )  # of the 120 orders of five, six are above 0.719 and ten above 0.67


def test_ranks_count_from_the_best_and_leave_out_what_is_not_there():
    assert ranks(np.array([0.2, 0.9, 0.9, np.nan])).tolist()[:3] == [3, 1.5, 1.5]
    assert np.isnan(ranks(np.array([0.2, 0.9, 0.9, np.nan]))[3])


def test_halves_spread_as_the_mean_of_all_images_does():
    """The standard error of a mean of n is s / sqrt(n): that of halves without replacement is the same."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(400, 1))
    halves = []
    for _ in range(500):
        order = rng.permutation(400)
        halves += [values[order[:200]].mean(axis=0), values[order[200:]].mean(axis=0)]
    draws = centred_draws(values.mean(axis=0), np.array(halves), 1.0)
    assert draws.mean() == pytest.approx(values.mean())
    assert draws.std() == pytest.approx(values.std() / np.sqrt(400), rel=0.06)
    assert centred_draws(values.mean(axis=0), np.array(halves), 0.25).std() == pytest.approx(draws.std() / 2)


def test_the_interval_of_a_rank_by_hand():
    whole = np.array([0.9, 0.8, 0.1])
    draws = np.array([[0.9, 0.8, 0.1]] * 30 + [[0.8, 0.9, 0.1]] * 10)
    first, second, third = rank_intervals(whole, draws)
    assert (first.rank, first.low, first.high, first.first) == (1, 1, 2, 0.75)
    assert (second.rank, second.low, second.high, second.first) == (2, 1, 2, 0.25)
    assert (third.rank, third.low, third.high, third.first) == (3, 3, 3, 0)
    assert np.isnan(rank_intervals(whole, np.empty((0, 3)))[0].low)


def test_a_candidate_is_told_from_the_first_one_only_beyond_its_paired_interval():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(40, 1)) * 0.1 + rng.normal(size=(40, 3)) * 0.01  # common to all candidates, and their own
    whole = np.array([0.9, 0.89, 0.8])
    near = behind_first(whole, whole + noise, 0)
    assert [gap.is_told_apart for gap in near] == [False, False, True]
    assert not any(gap.is_told_apart for gap in behind_first(whole, np.empty((0, 3)), 0))

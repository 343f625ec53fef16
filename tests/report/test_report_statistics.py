"""Intervals and verdicts equal those of textbooks."""

import math

import numpy as np
import pytest
from scipy import stats

from headstart.report.rendering.wording.number_format import plus_minus
from headstart.report.statistics.seed_intervals import Interval, Verdict, exp, holm, of_share, t_interval
from headstart.report.statistics.verdict_families import decide


def test_paired_interval_matches_scipy():
    rng = np.random.default_rng(0)
    for n in (2, 3, 5, 20):
        ours, theirs = rng.normal(0.9, 0.01, n), rng.normal(0.88, 0.02, n)
        want = stats.ttest_rel(ours, theirs)
        got = t_interval((ours - theirs).tolist(), resolution=0.0)
        assert got.p == pytest.approx(want.pvalue, rel=1e-9)
        assert (got.low, got.high) == pytest.approx(tuple(want.confidence_interval()), rel=1e-9)
        assert got.n == n


def holm_by_its_definition(p: list[float]) -> list[bool]:
    """Reject in ascending order while p <= alpha / (tests left), written down without adjusted p-values."""
    rejected = [False] * len(p)
    for left, i in zip(range(len(p), 0, -1), np.argsort(p, kind="stable"), strict=True):
        if not p[i] < 0.05 / left:
            break
        rejected[i] = True
    return rejected


def test_holm_rejects_what_its_definition_rejects():
    rng = np.random.default_rng(1)
    for _ in range(300):
        p = (rng.random(rng.integers(1, 12)) ** 3).tolist()
        assert [q < 0.05 for q in holm(p)] == holm_by_its_definition(p)


def test_holm_of_a_hand_computed_case():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_counts_a_test_that_has_no_p_value():
    assert holm([0.02, math.nan]) == pytest.approx([0.04, math.nan], nan_ok=True)


def test_equal_differences_are_as_uncertain_as_one_image():
    interval = t_interval([0.0] * 5, resolution=1 / 700)
    assert interval.floored
    assert interval.high == pytest.approx(stats.t.ppf(0.975, 4) / 700 / math.sqrt(5))
    assert interval.p == 1
    assert not t_interval([0.1] * 5, resolution=0.0).known, "the resolution is not known: no interval"
    assert not t_interval([0.1 + 1e-17, 0.1, 0.3 - 0.2], resolution=0.0).known, "rounding is no spread"


def test_one_value_and_nan_have_no_interval():
    assert not t_interval([0.3], resolution=0.01).known
    assert not t_interval([], resolution=0.01).known
    some = t_interval([0.1, math.nan, 0.3], resolution=0.01)
    assert (some.n, some.mean) == (2, pytest.approx(0.2))


def said(mean: float, half: float, p: float, margin: float | None = 0.01, n: int = 5) -> Verdict:
    error = half / stats.t.ppf(0.975, n - 1)
    return decide([Interval(mean, mean - half, mean + half, n, p, False, error, n - 1)], [margin])[0].verdict


def test_the_four_words():
    assert said(0.1, 0.02, 0.001) is Verdict.YES
    assert said(-0.1, 0.02, 0.001) is Verdict.NEGATIVE
    assert said(0.001, 0.005, 0.6) is Verdict.NO
    assert said(0.001, 0.05, 0.9) is Verdict.UNDECIDED
    assert said(0.03, 0.02, 0.06) is Verdict.UNDECIDED, "the correction counts, not the interval"


def test_no_is_never_said_without_a_smallest_difference_that_matters():
    assert said(0.0, 1e-6, 0.9, margin=None) is Verdict.UNDECIDED


@pytest.mark.parametrize("values", [[0.2], [math.nan, math.nan], []])
def test_too_few_seeds_are_undecided_and_say_why(values: list[float]):
    (found,) = decide([t_interval(values, resolution=0.01)], [0.01])
    assert found.verdict is Verdict.UNDECIDED
    assert "no interval" in found.why


def test_the_end_of_an_interval_may_be_more_than_a_float_holds():
    assert exp(1e6) == math.inf
    assert exp(-1e6) == 0
    assert math.isnan(exp(math.nan))
    assert exp(2.0) == math.exp(2.0)


def test_the_range_of_a_share_ends_at_0_and_1_and_its_half_width_and_its_test_stay():
    whole = t_interval([0.97, 1.0, 0.99], resolution=0.01)
    cut = of_share(whole)
    assert whole.high > 1
    assert (cut.low, cut.high) == (whole.low, 1.0)
    assert cut._replace(high=whole.high) == whole
    assert plus_minus(cut) == plus_minus(whole)
    assert of_share(t_interval([0.0, 0.01], resolution=0.01)).low == 0.0
    assert not of_share(t_interval([0.3], resolution=0.01)).known

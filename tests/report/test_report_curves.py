"""Do the measures of a curve give what a person computes by hand?"""

import itertools
import math

import numpy as np
import pytest

from headstart.report import curves, measures
from headstart.report.compare import study_of
from headstart.report.fit import exponential_fit
from headstart.report.runs import Found


@pytest.fixture
def by_hand(make_run):
    """Twelve evaluations, 2 steps and 50 images apart."""
    return curves.curve_of(make_run("scratch", 0, [0.1, 0.3, 0.5, 0.6, *[0.7] * 5, 0.8, 0.9, 0.7]), "val/accuracy")


def test_start_is_the_level_before_the_first_step(by_hand, make_run):
    assert curves.start(by_hand) == 0.1
    late = make_run("scratch", 0, [0.1, 0.2])
    del late.rows[0]
    assert math.isnan(curves.start(curves.curve_of(late, "val/accuracy")))


def test_small_budget_is_the_first_evaluation_after_training_began(by_hand):
    assert curves.after_first_epoch(by_hand) == 0.3


def test_asymptote_is_the_mean_of_the_last_tenth_but_of_three_at_least(by_hand, make_run):
    assert curves.asymptote(by_hand) == pytest.approx((0.8 + 0.9 + 0.7) / 3)
    long = make_run("scratch", 0, [0.0] * 45 + [0.5] * 5)
    assert curves.asymptote(curves.curve_of(long, "val/accuracy")) == 0.5
    short = make_run("scratch", 0, [0.1, 0.2, 0.3])
    assert math.isnan(curves.asymptote(curves.curve_of(short, "val/accuracy"))), "only two after the start"


def test_area_is_the_mean_of_the_trapezoids():
    x, y = np.array([0.0, 2.0, 4.0]), np.array([0.0, 1.0, 1.0])
    assert curves.area(x, y, 4) == pytest.approx((1 + 2) / 4)
    assert curves.area(x, y, 1) == pytest.approx(0.25), "cut between two evaluations"
    assert math.isnan(curves.area(x, y, 5)), "the curve ends before"


def test_time_to_a_level_is_the_first_evaluation_at_or_above_it(by_hand):
    assert curves.first_reaching(by_hand, 0.5) == 2
    assert curves.first_reaching(by_hand, 0.95) is None


def test_time_to_a_level_is_known_in_steps_examples_and_seconds(make_run):
    one = measures.measured([make_run("gradual", 3, [0.1, 0.3, 0.5, 0.6])], "val/accuracy", 1 / 700)[0]
    assert measures.reached(one, 0.45) == measures.Reach(3, 4.0, 100.0, 0.2)
    assert measures.reached(one, 0.7) == measures.Reach(3, None, None, None)


def test_a_median_counts_what_never_arrived_as_later_than_all_else():
    assert measures.median_reached([4, None, 2]) == 4
    assert measures.median_reached([4, None, 2, 6]) == 5
    assert measures.median_reached([4, None, None]) is None
    assert measures.median_reached([]) is None


def test_lower_is_better_for_losses_and_their_curves_are_turned(make_run):
    run = make_run("scratch", 0, [0.5, 0.6])
    for row in run.rows.values():
        row["val/loss"] = 2.0
    assert curves.curve_of(run, "val/loss").level.tolist() == [-2.0, -2.0]
    assert not curves.lower_is_better("val/accuracy")


@pytest.mark.parametrize(("start", "ceiling", "rate"), [(0.1, 0.91, 0.05), (0.5, 0.91, 0.3), (0.9, 0.95, 1.0)])
def test_fit_recovers_a_planted_exponential(start: float, ceiling: float, rate: float):
    x = np.arange(31.0) * 2
    fit = exponential_fit(x, ceiling - (ceiling - start) * np.exp(-rate / 2 * x), resolution=1 / 700)
    assert (fit.ceiling, fit.rise, fit.rate) == pytest.approx((ceiling, ceiling - start, rate / 2), rel=1e-4)
    assert fit.slope == pytest.approx((ceiling - start) * rate / 2, rel=1e-4)


def test_fit_matches_scipy_on_noisy_curves():
    from scipy.optimize import curve_fit

    rng = np.random.default_rng(0)
    x = np.arange(31.0)
    for _ in range(20):
        y = rng.binomial(700, 0.91 - 0.5 * np.exp(-0.2 * x)) / 700
        fit = exponential_fit(x, y, resolution=1e-9)
        (a, b, c), covariance = curve_fit(lambda t, a, b, c: a - b * np.exp(-c * t), x, y, p0=(0.9, 0.5, 0.2))
        assert (fit.ceiling, fit.rise, fit.rate) == pytest.approx((a, b, c), rel=1e-3)
        assert fit.error == pytest.approx(math.sqrt(covariance[2, 2]) / c, rel=0.02)


def test_fit_knows_when_there_is_no_rate():
    x = np.arange(31.0)
    assert exponential_fit(x, np.full(31, 0.9), resolution=0.001).error == math.inf
    assert exponential_fit(x, 0.9 - 0.01 * x / 30, resolution=0.001).error > 0.5, "a falling line"
    assert exponential_fit(x[:3], np.array([0.1, 0.5, 0.6]), resolution=0.001).error == math.inf
    assert math.isnan(exponential_fit(x, np.full(31, math.nan), resolution=0.001).rate)


def test_report_recovers_planted_start_slope_and_asymptote(make_run, curve):
    plan = {"scratch": (0.3, 0.90, 0.5), "fine_tuning": (0.7, 0.95, 0.75)}
    runs = [make_run(mode, seed, curve(*p)) for mode, p in plan.items() for seed in range(5)]
    found = study_of(Found(tuple(runs), ()), baseline="scratch", metric="val/accuracy").sections[0]
    differences = found.comparisons[0].differences
    assert differences["start"].mean == pytest.approx(0.4, abs=1e-9)
    assert math.exp(differences["rate_step"].mean) == pytest.approx(1.5, rel=1e-4)
    assert math.exp(differences["rate_examples"].mean) == pytest.approx(1.5, rel=1e-4)
    assert differences["slope_step"].mean == pytest.approx((0.25 * 0.75 - 0.6 * 0.5) / 2, rel=1e-4)
    assert differences["slope_examples"].mean == pytest.approx((0.25 * 0.75 - 0.6 * 0.5) / 50, rel=1e-4)
    assert differences["asymptote"].mean == pytest.approx(0.05, abs=1e-5)
    s, t = (np.interp(np.arange(0, 60.5, 0.5), np.arange(0, 61, 2), curve(*plan[mode])).tolist() for mode in plan)
    area = [sum((a + b) / 2 for a, b in itertools.pairwise(y)) / 120 for y in (s, t)]
    assert differences["transfer_ratio_step"].mean == pytest.approx(area[1] / area[0] - 1, rel=1e-6)
    assert all(interval.known for interval in differences.values()), "no noise, yet no false certainty"
    assert [b.verdict for b in found.comparisons[0].benefits] == ["yes"] * 3

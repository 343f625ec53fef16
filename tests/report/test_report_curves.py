"""The measures of a curve are those that a person computes by hand."""

import itertools
import math

import numpy as np
import pytest

from headstart.report.analysis import run_measures
from headstart.report.analysis.study_comparison import study_of
from headstart.report.curves import learning_curve
from headstart.report.stored_runs.study_runs import RunsBelow
from headstart.system.metric_direction import is_share, lower_is_better


@pytest.fixture
def by_hand(make_run):
    """Twelve evaluations, 2 steps and 50 images apart."""
    return learning_curve.curve_of(
        make_run("scratch", 0, [0.1, 0.3, 0.5, 0.6, *[0.7] * 5, 0.8, 0.9, 0.7]), "val/accuracy"
    )


def test_start_is_the_level_before_the_first_step(by_hand, make_run):
    assert learning_curve.start(by_hand) == 0.1
    late = make_run("scratch", 0, [0.1, 0.2])
    del late.rows[0]
    assert math.isnan(learning_curve.start(learning_curve.curve_of(late, "val/accuracy")))


def test_small_budget_is_the_first_evaluation_after_training_began(by_hand):
    assert learning_curve.after_first_epoch(by_hand) == 0.3


def test_asymptote_is_the_mean_of_the_last_tenth_but_of_three_at_least(by_hand, make_run):
    assert learning_curve.asymptote(by_hand) == pytest.approx((0.8 + 0.9 + 0.7) / 3)
    long = make_run("scratch", 0, [0.0] * 45 + [0.5] * 5)
    assert learning_curve.asymptote(learning_curve.curve_of(long, "val/accuracy")) == 0.5
    short = make_run("scratch", 0, [0.1, 0.2, 0.3])
    assert math.isnan(learning_curve.asymptote(learning_curve.curve_of(short, "val/accuracy"))), (
        "only two after the start"
    )


def test_area_is_the_mean_of_the_trapezoids():
    x, y = np.array([0.0, 2.0, 4.0]), np.array([0.0, 1.0, 1.0])
    assert learning_curve.area(x, y, 4) == pytest.approx((1 + 2) / 4)
    assert learning_curve.area(x, y, 1) == pytest.approx(0.25), "cut between two evaluations"
    assert math.isnan(learning_curve.area(x, y, 5)), "the curve ends before"


def test_time_to_a_level_is_the_first_evaluation_at_or_above_it(by_hand):
    assert learning_curve.first_reaching(by_hand, 0.5) == 2
    assert learning_curve.first_reaching(by_hand, 0.95) is None


def test_time_to_a_level_is_known_in_steps_examples_and_seconds(make_run):
    one = run_measures.measured([make_run("gradual", 3, [0.1, 0.3, 0.5, 0.6])], "val/accuracy")[0]
    assert run_measures.reached(one, 0.45) == run_measures.Reach(3, 4.0, 100.0, 0.2)
    assert run_measures.reached(one, 0.7) == run_measures.Reach(3, None, None, None)


def test_a_median_counts_what_never_arrived_as_later_than_all_else():
    assert run_measures.median_reached([4, None, 2]) == 4
    assert run_measures.median_reached([4, None, 2, 6]) == 5
    assert run_measures.median_reached([4, None, None]) is None
    assert run_measures.median_reached([]) is None


def test_lower_is_better_for_losses_and_their_curves_are_turned(make_run):
    run = make_run("scratch", 0, [0.5, 0.6])
    for row in run.rows.values():
        row["val/loss"] = 2.0
    assert learning_curve.curve_of(run, "val/loss").level.tolist() == [-2.0, -2.0]
    assert not lower_is_better("val/accuracy")


def test_the_kind_of_a_metric_is_told_by_its_name_and_not_by_its_split():
    assert is_share("val/f1")
    assert is_share("val/map")
    assert not is_share("recall/loss")
    assert not lower_is_better("loss/accuracy")


def test_report_recovers_planted_start_speed_and_level_at_the_end(make_run, curve):
    plan = {"fine_tuning": (0.7, 0.95, 0.75), "control": (0.3, 0.95, 0.5)}
    named = {"fine_tuning": ["mode=fine_tuning"], "control": ["mode=fine_tuning", "control=true"]}
    runs = [make_run("fine_tuning", s, curve(*p), [*named[a], f"seed={s}"]) for a, p in plan.items() for s in range(5)]
    found = study_of(RunsBelow(tuple(runs), ()), baseline="scratch", metric="val/accuracy").sections[0]
    (comparison,) = found.comparisons
    differences = comparison.differences
    assert differences["start"].mean == pytest.approx(0.4, abs=1e-9)
    # one ceiling: the time between two levels is ln(ratio of the ways to it) / rate, so it is 1.5 times as fast
    assert math.exp(differences["slope"].mean) == pytest.approx(1.5, rel=0.02)
    assert differences["asymptote"].mean == pytest.approx(0, abs=1e-5)
    s, t = (np.interp(np.arange(0, 60.5, 0.5), np.arange(0, 61, 2), curve(*plan[a])).tolist() for a in plan)
    area = [sum((a + b) / 2 for a, b in itertools.pairwise(y)) / 120 for y in (s, t)]
    assert differences["transfer_ratio_step"].mean == pytest.approx(area[0] / area[1] - 1, rel=1e-6)
    assert [b.verdict for b in comparison.benefits][::2] == ["yes", "no"]


def test_time_is_the_learning_rate_summed_over_its_peak_and_the_steps_where_nobody_recorded_it(make_run):
    run = make_run("scratch", 0, [0.1, 0.3, 0.5])
    for evaluation, total in zip(run.result["evaluations"], (0.0, 0.003, 0.004), strict=True):
        evaluation["learning_rate_sum"] = total
    assert learning_curve.curve_of(run, "val/accuracy").time == pytest.approx([0, 1.5, 2])
    del run.result["evaluations"][1]["learning_rate_sum"]
    assert learning_curve.curve_of(run, "val/accuracy").time.tolist() == [0, 2, 4]

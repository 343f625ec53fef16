"""Speed through common levels, first passages, and whether a curve still rises, in cases computed by hand."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.isotonic import IsotonicRegression

from headstart.report.curves.level_passage import first_passage, isotonic, sooner
from headstart.report.curves.slope import TimedCurve, slope, without_groups
from headstart.report.statistics.crossed_intervals import parts_over_seeds
from headstart.report.statistics.jackknife import image_groups

TIME = np.arange(41.0)


def line(speed: float, *, start=0.2, ceiling=0.9, wait=0.0, time=TIME) -> np.ndarray:
    """Rises by `speed` a unit of time, after a wait, to a ceiling."""
    return np.minimum(ceiling, start + speed * np.maximum(0, time - wait))


def arm(*speeds: float, time=TIME, **more) -> list[TimedCurve]:
    return [TimedCurve(time, line(speed, time=time, **more)) for speed in speeds]


def found(scratch, transfer, images=700, share=True):
    return slope(scratch, transfer, images=images, share=share)


def test_isotonic_matches_scikit_learn():
    rng = np.random.default_rng(0)
    for n in (1, 2, 7, 60):
        for _ in range(20):
            y = np.round(np.linspace(0, 1, n) + 0.3 * rng.standard_normal(n), 1)  # ties
            assert isotonic(y) == pytest.approx(IsotonicRegression().fit_transform(np.arange(n), y), abs=1e-12)


def test_first_passage_is_linear_between_evaluations_and_censored_at_the_end():
    rising = np.array([0.2, 0.4, 0.4, 0.8])
    assert first_passage(rising, 0.1) == 0
    assert first_passage(rising, 0.3) == pytest.approx(0.5)
    assert first_passage(rising, 0.4) == pytest.approx(1.0)
    assert first_passage(rising, 0.5) == pytest.approx(2.25)
    assert first_passage(rising, 0.81) == math.inf


def test_durations_of_lines_are_those_of_paper_and_pencil():
    """Range .2 to .9, timed from .34 to .76: .42 / .02 = 21 units and .42 / .05 = 8.4."""
    got = found(arm(0.02, 0.02), arm(0.05, 0.05))
    assert got.levels == pytest.approx((0.34, 0.76))
    assert got.scratch == pytest.approx((21.0, 21.0))
    assert got.transfer == pytest.approx((8.4, 8.4))
    assert got.evaluations == pytest.approx(8.4)
    assert got.difference.mean == pytest.approx(math.log(2.5))
    assert not got.why


def test_the_interval_is_paired_and_widened_by_the_spacing_of_evaluations():
    got = found(arm(0.02, 0.022, 0.021), arm(0.03, 0.031, 0.035))
    logs = np.log(np.array(got.scratch) / np.array(got.transfer))
    want = stats.ttest_1samp(logs, 0).confidence_interval()
    allowance = min(0.5 / got.evaluations, 1.2 / got.evaluations**2)
    assert (got.difference.low, got.difference.high) == pytest.approx((want.low - allowance, want.high + allowance))
    assert got.difference.allowance == allowance
    assert got.parts == parts_over_seeds(logs.tolist())


@pytest.mark.parametrize("wait", [1.0, 3.0, 5.5])
def test_a_shift_in_time_changes_nothing(wait):
    scratch, late = arm(0.03, 0.04, 0.035), arm(0.03, 0.04, 0.035, wait=wait)
    assert found(late, scratch).difference.mean == pytest.approx(0, abs=0.02)
    assert found(late, scratch).difference.p == 1


def test_the_clock_is_the_callers():
    """Equal per unit of learning rate, seen on an uneven clock: no slope; by evaluations it were one."""
    clock = 20 * np.sin(np.linspace(0, math.pi / 2, 41))
    scratch, ahead = arm(0.03, 0.032, time=clock, wait=4.0), arm(0.03, 0.032, time=clock)
    assert found(scratch, ahead).difference.mean == pytest.approx(0, abs=0.01)
    by_evaluation = [[TimedCurve(TIME, c.level) for c in one] for one in (scratch, ahead)]
    assert abs(found(*by_evaluation).difference.mean) > 0.1


def test_a_level_never_reached_counts_as_the_last_evaluation():
    short = [TimedCurve(TIME, line(0.01)), TimedCurve(TIME, line(0.05)), TimedCurve(TIME, line(0.05))]
    got = found(short, arm(0.05, 0.05, 0.05))
    assert got.levels[1] > short[0].level[-1]
    assert got.scratch[0] > got.scratch[1]
    weights = np.linspace(-1, 1, 9)
    passed = np.minimum((np.linspace(*got.levels, 9) - 0.2) / 0.01, 40)  # evaluation 40 is the last
    slow = weights @ passed / (weights @ np.linspace(0, 1, 9))
    assert got.scratch[0] == pytest.approx(slow)
    quick = (got.levels[1] - got.levels[0]) / 0.05
    assert found(short, short).evaluations == pytest.approx((slow + 2 * quick) / 3)
    assert math.isfinite(got.difference.mean)


@pytest.mark.parametrize(
    ("scratch", "transfer", "why"),
    [
        (arm(0.02, 0.02), arm(0.05, 0.05, start=0.95, ceiling=0.99), "no level in common"),
        (arm(0.02, 0.02), arm(0.05, 0.05, start=0.86, ceiling=0.95), "fewer than noise allows"),
        (arm(0.6, 0.6), arm(0.7, 0.7), "evaluate more often"),
        ([], [], "run the same seeds"),
        (arm(0.1, 0.1, time=TIME[:4]), arm(0.1, 0.1, time=TIME[:4]), "fewer than 6 evaluations"),
    ],
)
def test_what_cannot_be_measured_says_why(scratch, transfer, why):
    got = found(scratch, transfer)
    assert why in got.why
    assert not got.difference.known


def test_the_least_range_of_a_share_follows_the_number_of_images():
    scratch, transfer = arm(0.01, 0.011, start=0.5, ceiling=0.7), arm(0.012, 0.013, start=0.5, ceiling=0.7)
    assert not found(scratch, transfer, images=2000).why
    assert "fewer than noise allows" in found(scratch, transfer, images=50).why


def test_a_loss_has_the_noise_of_its_runs():
    rng = np.random.default_rng(1)
    quiet = [
        [TimedCurve(TIME, 3 * (c.level - 1)) for c in one] for one in (arm(0.02, 0.021, 0.02), arm(0.04, 0.041, 0.04))
    ]
    assert not found(*quiet, images=None, share=False).why
    noisy = [[TimedCurve(TIME, c.level + 2 * rng.standard_normal(41)) for c in one] for one in quiet]
    assert found(*noisy, images=None, share=False).why


def test_the_noise_of_one_run_is_its_distance_to_the_isotonic_curve():
    """Pairs at k + 1 and k - 1: the isotonic curve is k, the noise 1, and a range needs 4 of it."""
    saw = [TimedCurve(TIME[:8], np.array([1.0, -1, 2, 0, 3, 1, 4, 2]))]
    assert "1 to 2.33, are fewer than noise allows (4)" in found(saw, saw, share=False).why


def test_a_scale_of_the_figure_changes_nothing():
    one, two = arm(0.02, 0.025), arm(0.04, 0.06)
    times = [[TimedCurve(TIME, 7 * c.level - 3) for c in a] for a in (one, two)]
    want = found(one, two, share=False).difference
    assert found(*times, share=False).difference == pytest.approx(want)


def test_levels_without_a_group_are_the_means_of_the_other_images():
    rng = np.random.default_rng(2)
    right = rng.random((6, 100)) < 0.7
    (group,) = image_groups([rng.permutation(100).astype(np.uint64)], 8)
    got = without_groups(right, group, 8)
    want = [[row[group != g].mean() for row in right] for g in range(8)]
    assert got == pytest.approx(np.array(want))


def test_shared_images_widen_the_interval_by_what_they_share():
    """One order in which images are learned, the same for all seeds: the seeds agree, the images decide."""
    rng = np.random.default_rng(3)
    images, seeds = 200, 4
    (group,) = image_groups([np.arange(images, dtype=np.uint64)])
    arms = []
    for _ in range(2):
        learned_at = rng.exponential(8, images)
        runs = [learned_at + 0.2 * rng.standard_normal(images) for _ in range(seeds)]
        right = [(TIME[:, None] >= run) for run in runs]
        arms.append([TimedCurve(TIME, r.mean(1), without_groups(r, group, 40)) for r in right])
    crossed = found(*arms, images=images)
    alone = found(*([TimedCurve(c.time, c.level) for c in one] for one in arms), images=images)
    assert crossed.difference.mean == pytest.approx(alone.difference.mean)
    assert crossed.difference.error > 3 * alone.difference.error


def test_how_many_times_sooner_scratchs_levels_are_reached():
    """Scratch rises from .2 to .9 in 35, transfer in 14: 2.5 times sooner at each share."""
    scratch, transfer = [(TIME, line(0.02))] * 3, [(TIME, line(0.05))] * 3
    for one, share in zip(sooner(scratch, transfer), (0.5, 0.8, 0.95, 1.0), strict=True):
        assert one.share == share
        assert one.level == pytest.approx(0.2 + share * 0.7)
        assert one.scratch == pytest.approx((35 * share,) * 3)
        assert one.transfer == pytest.approx((14 * share,) * 3)
        assert (one.ratio, one.bound) == (pytest.approx(2.5), "")


def test_runs_that_never_reach_a_level_are_later_than_all_others():
    fast, never = (TIME, line(0.05)), (TIME, line(0.005))
    (half,) = sooner([fast, fast, never], [fast, never, never], shares=(0.8,))
    assert half.scratch[2] is None
    assert half.transfer[1:] == (None, None)
    assert half.bound == "at most"
    assert half.ratio == pytest.approx(half.scratch[0] / 40)
    (two,) = sooner([fast, fast], [fast, never], shares=(0.8,))
    assert two.bound == "at most", "half of an even number is not the median's half"
    (half,) = sooner([fast, never, never], [fast, fast, never], shares=(0.9,))
    assert half.bound == "at least"
    assert half.ratio == pytest.approx(40 / half.transfer[0])


def test_an_arm_that_begins_above_the_level_is_there_from_the_first_evaluation_on():
    (one,) = sooner([(TIME, line(0.02))], [(TIME, line(0.02, start=0.7))], shares=(0.5,))
    assert one.transfer == (0.0,)
    assert one.ratio == math.inf
    assert sooner([(TIME, np.full(41, 0.5))], [(TIME, line(0.02))]) == ()

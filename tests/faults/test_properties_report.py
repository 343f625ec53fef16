"""The report's arithmetic does not depend on units, on the order of seeds and images, or on what they are called."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from sklearn.isotonic import IsotonicRegression

from fuzzed import thorough
from headstart.report.curves.level_passage import first_passage, isotonic, sooner
from headstart.report.curves.slope import TimedCurve, slope
from headstart.report.statistics.crossed_intervals import Contributions, crossed_interval, crossed_parts
from headstart.report.statistics.fold_intervals import fold_interval
from headstart.report.statistics.jackknife import pseudo_from
from headstart.report.statistics.repeated_looks import Look, cumulative_share, level_of
from headstart.report.statistics.seed_intervals import ALPHA, Interval, Verdict, holm, t_interval
from headstart.report.statistics.verdict_families import decide

pytestmark = pytest.mark.faults

figures = st.floats(-10, 10).map(lambda value: round(value, 6))
seeds_of = st.lists(figures, min_size=2, max_size=8)
scales = st.floats(0.01, 100)
chances = st.randoms(use_true_random=False)


def near(value):
    return pytest.approx(value, rel=1e-6, abs=1e-9, nan_ok=True)


@given(seeds_of)
@thorough(1000)
def test_the_interval_is_student_s(values):
    assume(np.std(values) > 1e-6)
    found, want = t_interval(values, resolution=0), stats.ttest_1samp(values, 0)
    low, high = want.confidence_interval(0.95)
    assert (found.low, found.high, found.p) == (near(low), near(high), near(want.pvalue))


@given(seeds_of, figures, scales, chances, st.booleans())
@thorough(1000)
def test_the_interval_follows_a_shift_a_scale_a_sign_and_no_order(values, shift, scale, chance, negative):
    assume(np.std(values) > 1e-6)
    scale = -scale if negative else scale
    one = t_interval(values, resolution=0)
    other = t_interval([scale * value + shift for value in chance.sample(values, len(values))], resolution=0)
    ends = sorted((scale * one.low + shift, scale * one.high + shift))
    assert (other.mean, other.low, other.high) == (near(scale * one.mean + shift), near(ends[0]), near(ends[1]))
    assert other.high - other.low == near(abs(scale) * (one.high - one.low))


@given(seeds_of, st.floats(1e-3, 1), st.floats(1, 5))
@thorough(500)
def test_a_coarser_measurement_and_missing_values_never_make_an_interval_narrower(values, resolution, coarser):
    fine, coarse = (t_interval(values, resolution=one) for one in (resolution, coarser * resolution))
    assert coarse.high - coarse.low >= (fine.high - fine.low) * (1 - 1e-12)
    assert t_interval([*values, math.nan], resolution=resolution) == fine


@given(seeds_of, st.floats(0.01, 1))
@thorough(500)
def test_the_interval_over_folds_has_the_error_of_nadeau_and_bengio(values, ratio):
    assume(np.std(values) > 1e-6)
    found = fold_interval(values, val_over_train=ratio, resolution=0)
    error = math.sqrt((1 / len(values) + ratio) * np.var(values, ddof=1))
    half = stats.t.ppf(0.975, len(values) - 1) * error
    assert (found.low, found.high) == (near(np.mean(values) - half), near(np.mean(values) + half))


p_values = st.lists(st.floats(0, 1) | st.just(math.nan), max_size=8)


@given(p_values, chances)
@thorough(2000)
def test_holm_s_p_is_the_least_level_at_which_stepping_down_rejects(values, chance):
    corrected = holm(values)
    known = sorted(value for value in values if not math.isnan(value))
    for value, found in zip(values, corrected, strict=True):
        if math.isnan(value):
            assert math.isnan(found)
            continue
        # rejected at a level where it, and each smaller one before it, passes its own bound
        want = max(min(1.0, (len(values) - rank) * p) for rank, p in enumerate(known) if p <= value)
        assert found == near(want)
        assert found >= value
    order = chance.sample(range(len(values)), len(values))
    assert holm([values[at] for at in order]) == [near(corrected[at]) for at in order]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0, 1))
@thorough(500)
def test_one_more_test_makes_no_corrected_p_smaller(values, more):
    assert all(after >= before for before, after in zip(holm(values), holm([*values, more]), strict=False))


@st.composite
def contributions(draw, same_images=False):
    """What images contribute to each of several seeds' differences."""
    count = draw(st.integers(2, 6))
    first = draw(st.lists(st.integers(0, 60), min_size=4, max_size=30, unique=True))
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shared = chance.normal(0, draw(st.floats(0.01, 2)), 200)
    seeds = []
    for _ in range(count):
        images = first if same_images else draw(st.lists(st.integers(0, 60), min_size=4, max_size=30, unique=True))
        values = chance.normal(0, 1) + shared[images] + chance.normal(0, draw(st.floats(0.05, 2)), len(images))
        seeds.append(Contributions(np.array(images, np.uint64), values))
    return seeds


@given(contributions(same_images=True))
@thorough(500)
def test_over_the_same_images_the_variance_is_that_of_the_crossed_design(seeds):
    found = crossed_interval(seeds, resolution=0)
    table = np.stack([seed.value for seed in seeds])
    count, images = table.shape
    of_seeds = table.mean(1).var(ddof=1) / count
    of_images = table.mean(0).var(ddof=1) / images
    rest = table - table.mean(1, keepdims=True) - table.mean(0) + table.mean()
    residual = (rest**2).sum() / ((count - 1) * (images - 1)) / (count * images)
    assert found.mean == near(table.mean())
    assert found.error**2 == near(max(of_seeds, residual) + max(0, of_images - residual))


@given(contributions() | contributions(same_images=True), chances, figures, scales, st.integers(0, 2**62))
@thorough(1000)
def test_seeds_and_images_have_no_order_and_no_name_and_figures_no_unit(seeds, chance, shift, scale, called):
    def again(seed):
        order = chance.sample(range(len(seed.value)), len(seed.value))
        return Contributions(seed.image[order] + np.uint64(called), scale * seed.value[order] + shift)

    others = [again(seed) for seed in chance.sample(seeds, len(seeds))]
    one, other = crossed_interval(seeds, resolution=0.01), crossed_interval(others, resolution=0.01 * scale)
    assert other.mean == pytest.approx(scale * one.mean + shift, rel=1e-6, abs=1e-6 * scale)
    assert (other.error, other.df, other.floored) == (near(scale * one.error), near(one.df), one.floored)
    parts, changed = crossed_parts(seeds), crossed_parts(others)
    for name in ("seed", "image", "residual"):
        want = scale**2 * getattr(parts, name)
        assert getattr(changed, name) == pytest.approx(want, rel=1e-6, abs=1e-9 * scale**2)
        assert getattr(changed, name) >= 0
    assert changed.shared == near(parts.shared)
    assert 0 <= parts.shared <= 1


@given(contributions())
@thorough(300)
def test_more_seeds_and_more_images_never_make_the_variance_larger(seeds):
    parts = crossed_parts(seeds)
    assume(math.isfinite(parts.seed))
    assert parts.variance(8) <= parts.variance(4)
    assert parts.variance(4, 1000) <= parts.variance(4, 100)


@given(st.lists(st.tuples(figures, st.floats(0.001, 5)), min_size=1, max_size=6), chances)
@thorough(500)
def test_a_family_s_words_have_no_order_and_turn_round_with_the_sign(given_pairs, chance):
    differences = [t_interval([mean - spread, mean, mean + spread], resolution=0) for mean, spread in given_pairs]
    margins = [0.01] * len(differences)
    words = [one.verdict for one in decide(differences, margins)]
    order = chance.sample(range(len(words)), len(words))
    assert [one.verdict for one in decide([differences[at] for at in order], margins)] == [words[at] for at in order]
    turned = [Interval(-d.mean, -d.high, -d.low, d.n, d.p, d.floored, d.error, d.df, d.allowance) for d in differences]
    opposite = {Verdict.YES: Verdict.NEGATIVE, Verdict.NEGATIVE: Verdict.YES}
    assert [one.verdict for one in decide(turned, margins)] == [opposite.get(word, word) for word in words]


@given(st.lists(st.integers(0, 60), max_size=12).map(sorted), st.booleans())
@thorough(1000)
def test_all_looks_together_spend_no_more_than_the_error_that_there_is(seeds, fixed):
    looks = []
    for at, count in enumerate(seeds):
        level = level_of(count, looks, fixed=fixed, digest=str(at))
        assert level >= 0
        looks.append(Look(count, str(at), level))
        assert level_of(count, looks, fixed=fixed, digest=str(at)) == level, "the same data again are the same look"
    assert math.fsum(look.spent for look in looks) <= ALPHA * (1 + 1e-12)
    assert all(cumulative_share(one) <= cumulative_share(more) for one, more in pairwise(seeds))


curves = st.lists(figures, min_size=1, max_size=30).map(np.array)


@given(curves, figures, scales)
@thorough(1000)
def test_the_isotonic_curve_is_scikit_learn_s_and_has_no_unit(level, shift, scale):
    found = isotonic(level)
    want = IsotonicRegression().fit_transform(np.arange(len(level)), level)
    assert found == pytest.approx(want, abs=1e-7)
    assert np.all(np.diff(found) >= 0)
    assert isotonic(found) == pytest.approx(found)
    assert isotonic(scale * level + shift) == pytest.approx(scale * found + shift, abs=1e-7 * max(1, scale))
    assert found.sum() == pytest.approx(level.sum(), abs=1e-7)


@given(curves, st.floats(0, 1))
@thorough(1000)
def test_at_its_first_passage_a_rising_curve_has_the_level_and_before_it_less(level, share):
    rising = isotonic(level)
    wanted = rising[0] + share * (rising[-1] - rising[0])
    at = first_passage(rising, wanted)
    assert 0 <= at <= len(rising) - 1
    places = np.arange(len(rising))
    assert np.interp(at, places, rising) == pytest.approx(wanted, abs=1e-7)
    assert at < 0.01 or np.interp(at - 0.01, places, rising) <= wanted + 1e-7
    assert first_passage(rising, rising[-1] + 1) == math.inf
    assert first_passage(rising, rising[0] - 1) == 0


@st.composite
def arms(draw):
    """Two arms' runs: times from 0 and levels that rise with noise."""
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    evaluations, runs = draw(st.integers(8, 30)), draw(st.integers(2, 5))
    found = []
    for _ in range(2):
        rate, noise = draw(st.floats(0.05, 1)), draw(st.floats(0, 0.05))
        time = np.arange(evaluations, dtype=float)
        found.append(
            [
                (time, 1 - 0.9 * np.exp(-rate * time) + chance.normal(0, noise, evaluations))
                for _ in range(runs)
            ]
        )  # fmt: skip
    return found


@given(arms(), scales, figures, scales, chances)
@thorough(500)
def test_how_many_times_sooner_has_no_unit_of_time_no_zero_of_the_figure_and_no_order(two, unit, shift, scale, chance):
    slow, fast = two
    one = sooner(slow, fast)
    other = sooner(*(
        [(unit * time, scale * level + shift) for time, level in chance.sample(arm, len(arm))] for arm in two
    ))  # fmt: skip
    assert [found.bound for found in other] == [found.bound for found in one]
    for mine, theirs in zip(one, other, strict=True):
        assert theirs.ratio == pytest.approx(mine.ratio, rel=1e-4, nan_ok=True)
        assert sorted(time or -1 for time in theirs.scratch) == pytest.approx(
            sorted((time or -1) * (unit if time else 1) for time in mine.scratch), rel=1e-4, abs=1e-4 * unit
        )


@given(arms())
@thorough(200)
def test_an_arm_is_as_soon_as_itself(two):
    slow, _ = two
    for found in sooner(slow, slow):
        assert found.bound == "unknown" or found.ratio == 1


@given(arms(), scales, figures, chances, st.floats(0, 50))
@thorough(300)
def test_the_slope_has_no_unit_and_no_beginning_of_time_and_turns_round_with_the_arms(two, unit, shift, chance, later):
    made = [[TimedCurve(time=time, level=level) for time, level in arm] for arm in two]
    one = slope(*made, images=None, share=False)
    order = chance.sample(range(len(made[0])), len(made[0]))
    moved = [
        [TimedCurve(time=unit * arm[at].time + later, level=arm[at].level + shift) for at in order] for arm in made
    ]
    other = slope(*moved, images=None, share=False)
    assert (other.why == "") == (one.why == "")
    assert other.difference.mean == pytest.approx(one.difference.mean, abs=1e-4, nan_ok=True)
    turned = slope(made[1], made[0], images=None, share=False)
    assert turned.difference.mean == pytest.approx(-one.difference.mean, abs=1e-6, nan_ok=True)


@given(figures, st.lists(figures, min_size=2, max_size=40).map(np.array))
@thorough(300)
def test_the_mean_of_the_pseudo_values_is_the_figure_of_all_images(whole, without):
    assert pseudo_from(whole, without).mean() == pytest.approx(whole, abs=1e-6)

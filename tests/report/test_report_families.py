"""Verdicts of a family, the error of looks, and the seeds that a decision takes."""

import math

import numpy as np
import pytest
from scipy import stats

from headstart.report.statistics.crossed_intervals import VarianceComponents, parts_over_seeds
from headstart.report.statistics.fold_intervals import fold_interval
from headstart.report.statistics.power import images_needed, power_of, seeds_needed
from headstart.report.statistics.repeated_looks import Look, cumulative_share, level_of
from headstart.report.statistics.seed_intervals import Interval, Verdict, equivalence_p, interval_of, t_interval
from headstart.report.statistics.verdict_families import decide

YES, NO, NEGATIVE, UNDECIDED = Verdict.YES, Verdict.NO, Verdict.NEGATIVE, Verdict.UNDECIDED
UNKNOWN = t_interval([0.1], resolution=0.01)


def difference(mean: float, p: float, df: float = 8) -> Interval:
    """An interval with this mean and this two-sided p."""
    return interval_of(mean, abs(mean) / stats.t.isf(p / 2, df), df, int(df) + 1)


def words(differences, margin=0.01, **more):
    return [d.verdict for d in decide(differences, [margin] * len(differences), **{"alpha": 0.05, **more})]


def test_two_one_sided_tests_match_scipy():
    rng = np.random.default_rng(0)
    for _ in range(20):
        values = rng.normal(0.002, 0.01, 6)
        low = stats.ttest_1samp(values, -0.015, alternative="greater").pvalue
        high = stats.ttest_1samp(values, 0.015, alternative="less").pvalue
        assert equivalence_p(t_interval(values.tolist(), resolution=0.0), 0.015) == pytest.approx(max(low, high))


def test_an_allowance_widens_both_sides_and_weakens_both_tests():
    plain, wide = interval_of(0.5, 0.1, 4, 5), interval_of(0.5, 0.1, 4, 5, allowance=0.2)
    assert (wide.low, wide.high) == pytest.approx((plain.low - 0.2, plain.high + 0.2))
    assert wide.p == pytest.approx(interval_of(0.3, 0.1, 4, 5).p)
    assert equivalence_p(wide, 0.9) == pytest.approx(equivalence_p(plain, 0.7))
    assert interval_of(0.1, 0.1, 4, 5, allowance=0.2).p == 1


def test_only_differences_that_can_be_decided_count():
    decided = difference(0.05, 0.02)
    assert words([decided, UNKNOWN, UNKNOWN]) == [YES, UNDECIDED, UNDECIDED]
    assert words([decided, difference(0.05, 0.6), difference(0.05, 0.7)])[0] is UNDECIDED
    assert words([decided, decided], unmeasurable=["", "seen in one evaluation"]) == [YES, Verdict.NOT_MEASURABLE]


def test_yes_below_what_matters_is_small():
    small, large, worse = decide([difference(m, 1e-4) for m in (0.003, 0.03, -0.003)], [0.01] * 3, alpha=0.05)
    assert (small.verdict, small.small) == (YES, True)
    assert (large.verdict, large.small) == (YES, False)
    assert (worse.verdict, worse.small) == (NEGATIVE, True)


def test_no_is_corrected_as_well():
    equal = interval_of(0.0, 0.004, 8, 9)
    p = equivalence_p(equal, 0.01)
    assert 0.05 / 3 < p < 0.05
    assert words([equal]) == [NO]
    assert words([equal] * 3) == [UNDECIDED] * 3
    assert words([equal], margin=None) == [UNDECIDED]


def test_what_an_earlier_look_decided_stays_and_leaves_its_correction():
    fresh = difference(0.05, 0.04)
    gone = difference(0.0001, 0.99)
    assert words([fresh, gone]) == [UNDECIDED, UNDECIDED]
    assert words([fresh, gone], before=[None, YES]) == [YES, YES]
    assert words([fresh, gone], before=[None, NO]) == [UNDECIDED, NO], "a no has not passed the test of yes"


def test_each_undecided_difference_says_why():
    found = decide([UNKNOWN, difference(0.02, 0.04), difference(0.02, 0.5)], [0.01] * 3, alpha=0.05)
    assert "no interval" in found[0].why
    assert "for this arm alone" in found[1].why
    assert found[2].why == "equality is possible, and so is a difference that matters"
    (spent,) = decide([difference(0.02, 0.5)], [0.01], alpha=0.0)
    assert "no error left" in spent.why


def test_any_false_verdict_in_a_family_is_as_rare_as_alpha():
    """Of 8 differences that share a baseline: all equal for yes, all at the margin for no; 2,000 families."""
    rng = np.random.default_rng(1)
    false_yes = false_no = 0
    for _ in range(2000):
        base = rng.standard_normal(6)
        found = [t_interval(((rng.standard_normal(6) - base) / 100).tolist(), resolution=0.0) for _ in range(8)]
        false_yes += any(w in (YES, NEGATIVE) for w in words(found, margin=None))
        away = [d._replace(mean=d.mean + 0.05) for d in found]
        false_no += any(d.p_equal < 0.05 for d in decide(away, [0.05] * 8, alpha=0.05))
    assert false_yes / 2000 <= 0.06
    assert false_no / 2000 <= 0.06


def test_the_levels_of_all_looks_add_up_to_alpha_at_most():
    shares = [cumulative_share(n) for n in range(200)]
    assert shares == sorted(shares)
    assert shares[:3] == [0, 0, 0]
    assert shares[3] == pytest.approx(0.85 * (1 - math.exp(-1 / 5.76)) + 0.05)
    assert shares[-1] < 1
    looks: list[Look] = []
    for n in (3, 4, 5, 5, 7, 10, 50):
        looks.append(Look(n, f"{len(looks)}", level_of(n, looks, fixed=False, digest=f"{len(looks)}")))
    assert sum(look.spent for look in looks) == pytest.approx(0.05 * cumulative_share(50))
    assert looks[3].spent == 0, "other data of as many seeds: nothing is left"


def test_the_same_data_again_are_the_same_look():
    looks = [Look(3, "a", 0.009), Look(5, "b", 0.02)]
    assert level_of(3, looks, fixed=False, digest="a") == 0.009
    assert level_of(5, looks, fixed=False, digest="b") == 0.02
    assert level_of(5, looks, fixed=True, digest="b") == 0.02


def test_a_fixed_study_has_one_look_with_all_of_alpha():
    assert level_of(5, [], fixed=True) == 0.05
    assert level_of(10, [Look(5, "a", 0.05)], fixed=True, digest="b") == 0
    assert level_of(10, [Look(5, "a", 0.05)], fixed=False, digest="b") == 0


def test_power_over_seeds_matches_simulation():
    rng = np.random.default_rng(2)
    parts = VarianceComponents(0.012**2, 0.0, 0.0, math.inf, 0.0, 5)
    p = stats.ttest_1samp(rng.normal(0.02, 0.012, (20_000, 5)), 0, axis=1).pvalue
    assert power_of(parts, 0.02, 0.05, seeds=5) == pytest.approx(np.mean(p < 0.05), abs=0.01)


@pytest.mark.parametrize(
    "change",
    [{"seeds": 1}, {"alpha": 0.0}, {"alpha": 1.0}, {"effect": 0.005, "allowance": 0.005}, {"seed": math.inf}],
)
def test_where_nothing_can_be_decided_the_power_is_0(change):
    given = {"seeds": 5, "alpha": 0.05, "effect": 0.02, "allowance": 0.0, "seed": 0.012**2} | change
    parts = VarianceComponents(given["seed"], 0.0, 0.0, math.inf, 0.0, 5)
    power = power_of(parts, given["effect"], given["alpha"], seeds=given["seeds"], allowance=given["allowance"])
    assert power == 0


def test_an_interval_without_an_error_or_that_is_not_known_says_nothing_of_equivalence():
    known = t_interval([0.01, 0.02, 0.03], resolution=0.0)
    assert math.isfinite(equivalence_p(known, 0.1))
    assert math.isnan(equivalence_p(known._replace(error=0.0), 0.1))
    assert math.isnan(equivalence_p(t_interval([0.01], resolution=0.0), 0.1))
    assert math.isnan(equivalence_p(known._replace(low=math.nan, high=math.nan), 0.1))


def test_seeds_needed_are_the_least_that_suffice():
    parts = parts_over_seeds([0.0, 0.024, 0.012, -0.012, 0.0])
    n = seeds_needed(parts, 0.01, 0.05)
    assert n is not None
    assert power_of(parts, 0.01, 0.05, seeds=n) >= 0.8 > power_of(parts, 0.01, 0.05, seeds=n - 1)
    assert images_needed(parts, 0.01, 0.05) is None, "of no images nothing is known"


def test_no_number_of_seeds_outweighs_the_images_that_they_share():
    parts = VarianceComponents(seed=1e-6, image=0.04, residual=0.02, images=100, shared=1.0, seeds=5)
    assert seeds_needed(parts, 0.01, 0.05) is None
    n = images_needed(parts, 0.01, 0.05)
    assert n is not None
    assert power_of(parts, 0.01, 0.05, seeds=5, images=n) >= 0.8
    apart = VarianceComponents(seed=1e-6, image=0.04, residual=0.02, images=100, shared=0.0, seeds=5)
    assert seeds_needed(apart, 0.01, 0.05) is not None
    assert images_needed(VarianceComponents(0.01, 0.04, 0.02, 100, 1.0, 5), 0.01, 0.05) is None, (
        "the seeds alone differ too much"
    )


def test_the_fold_interval_of_a_hand_computed_case():
    """5 folds, 1/5 + 1/4 = 0.45 of the variance in place of 1/5."""
    values = [0.01, 0.02, 0.03, 0.04, 0.05]
    got = fold_interval(values, val_over_train=0.25, resolution=0.0)
    error = math.sqrt(0.45 * 0.00025)
    assert (got.mean, got.error, got.df) == pytest.approx((0.03, error, 4))
    assert got.high == pytest.approx(0.03 + stats.t.ppf(0.975, 4) * error)
    assert not fold_interval([0.1], val_over_train=0.25, resolution=0.01).known

"""False verdicts of whole studies: looks again and again, many modes, unequal tuning."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from headstart.report.curves.slope import slope
from headstart.report.statistics.crossed_intervals import crossed_interval
from headstart.report.statistics.seed_intervals import Verdict, t_interval
from headstart.report.statistics.verdict_families import decide
from verdict_rates import (
    BASE,
    DECIDED,
    FALSE,
    IMAGES,
    POINT,
    QUARTER,
    QUICK,
    SLOW,
    at_most,
    contributions,
    curves,
    decided_over,
    ends,
    in_looks,
    tell,
)
from worlds import answers


def looking_again(studies: int, *, shared: bool) -> None:
    """3 to 10 seeds, added one by one, with a look at each."""
    rng = np.random.default_rng(5)
    seeds = tuple(range(3, 11))
    wrong = naive = 0
    for _ in range(studies):
        if shared:
            (arm,) = contributions(ends(rng, IMAGES, 10, 0.3))
            found = [crossed_interval(arm[:n], resolution=1 / IMAGES) for n in seeds]
        else:
            values = rng.normal(0, 0.012, 10).tolist()
            found = [t_interval(values[:n], resolution=1 / IMAGES) for n in seeds]
        wrong += in_looks(seeds, found) in DECIDED
        naive += any(interval.p < 0.05 for interval in found)
    name = "shared images" if shared else "val by seed"
    tell(f"3 to 10 seeds one by one, {name}", **{"false": wrong / studies, "false at .05 a look": naive / studies})
    assert wrong / studies <= at_most(FALSE, studies)


def test_looking_again_and_again_decides_no_more_falsely():
    looking_again(QUICK, shared=False)


@pytest.mark.slow
@pytest.mark.parametrize("shared", [False, True])
def test_looking_again_and_again_decides_no_more_falsely_in_2000_studies(shared):
    looking_again(SLOW, shared=shared)


def nine_modes(question: str, studies: int) -> None:
    rng = np.random.default_rng(6)
    wrong = 0
    world = replace(BASE, start=0.5, ahead=1.0)
    for _ in range(studies):
        if question == "slope":
            time, level = world.drawn(rng, 9, 5)
            seen = rng.binomial(IMAGES, level) / IMAGES
            base = curves(time, seen[0])
            slopes = [slope(base, curves(time, arm), images=IMAGES, share=True) for arm in seen[1:]]
            found = [one.difference for one in slopes]
            decisions = decide(found, [QUARTER] * 8, alpha=0.05, unmeasurable=[one.why for one in slopes])
        elif question == "shared images":
            _, decisions = decided_over(ends(rng, IMAGES, 5, 0.5, arms=9))
        else:
            values = rng.normal(0.8, 0.0085, (9, 5))
            found = [t_interval(row.tolist(), resolution=1 / IMAGES) for row in values[1:] - values[0]]
            decisions = decide(found, [POINT] * 8, alpha=0.05)
        wrong += any(decision.verdict in DECIDED for decision in decisions)
    tell(f"9 modes, {question}", **{"any false": wrong / studies})
    assert wrong / studies <= at_most(FALSE, studies)


@pytest.mark.parametrize("question", ["shared images", "val by seed"])
def test_a_study_of_nine_modes_has_hardly_a_false_verdict(question):
    nine_modes(question, QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("question", ["shared images", "val by seed", "slope"])
def test_a_study_of_nine_modes_has_hardly_a_false_verdict_in_2000_studies(question):
    nine_modes(question, SLOW)


def tuned(studies: int) -> None:
    """Scratch tries 1 setting, transfer 16, all equal on the population; each keeps the best of its trials on val."""
    rng = np.random.default_rng(7)
    images, seeds = 200, 5
    unseen = seen = 0
    for _ in range(studies):
        level = np.clip(0.8 + 0.005 * rng.standard_normal((17, seeds + 1)), 0, 1)
        right = answers(rng, level, 2 * images, interaction=0.8, chance=0.2)
        best = 1 + int(right[1:, 0, :images].mean(-1).argmax())  # trials: one seed of their own, the first half
        final = right[[0, best], 1:]
        unseen += decided_over(final[..., images:])[1][0].verdict in DECIDED
        seen += decided_over(final[..., :images])[1][0].verdict in DECIDED
    tell("tuned over 1 and over 16", **{"false": unseen / studies, "false on images that trials saw": seen / studies})
    assert unseen / studies <= at_most(FALSE, studies)
    assert seen / studies > 0.07, "the images that chose a setting favour it"


def test_equal_arms_of_which_one_was_tuned_more():
    tuned(QUICK)


@pytest.mark.slow
def test_equal_arms_of_which_one_was_tuned_more_in_2000_studies():
    tuned(SLOW)


def test_a_difference_of_two_points_is_seen_in_looks_at_3_5_and_10():
    rng = np.random.default_rng(9)
    by = {3: 0, 5: 0, 10: 0}
    for _ in range(SLOW):
        values = rng.normal(0.02, 0.012, 10).tolist()
        found = [t_interval(values[:n], resolution=1 / 700) for n in by]
        for k, n in enumerate(by):
            by[n] += in_looks(tuple(by)[: k + 1], found[: k + 1]) is Verdict.YES
    tell("end +.02, looks at 3, 5, 10", **{f"power at {n}": count / SLOW for n, count in by.items()})
    assert by[5] / SLOW >= 0.6

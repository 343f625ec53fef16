"""False verdicts, coverage and power of the slope, in simulated studies whose truth is known."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from headstart.report.curves.slope import Slope, TimedCurve, slope, without_groups
from headstart.report.statistics.jackknife import image_groups
from headstart.report.statistics.seed_intervals import Verdict
from headstart.report.statistics.verdict_families import decide
from verdict_rates import (
    BASE,
    FALSE,
    IMAGES,
    QUARTER,
    QUICK,
    SLOW,
    at_least,
    at_most,
    curves,
    is_false,
    tell,
)
from worlds import Learning, answers


def timed(rng: np.random.Generator, world: Learning, seeds: int = 5, images: int = IMAGES) -> Slope:
    """A study whose val is drawn anew by seed and whose evaluations have independent noise."""
    time, level = world.drawn(rng, 2, seeds)
    seen = rng.binomial(images, level) / images
    return slope(curves(time, seen[0]), curves(time, seen[1]), images=images, share=True)


def timed_on_shared_images(
    rng: np.random.Generator, world: Learning, interaction: float, seeds: int = 5, images: int = IMAGES
) -> Slope:
    time, level = world.drawn(rng, 2, seeds)
    right = answers(rng, level, images, interaction=interaction, again=0.3)
    (group,) = image_groups([np.arange(images, dtype=np.uint64)])
    arms = [
        [TimedCurve(time, run.mean(-1), without_groups(run, group, int(group.max()) + 1)) for run in arm]
        for arm in right
    ]
    return slope(*arms, images=images, share=True)


def slope_rates(found: list[Slope], truth: float) -> tuple[Counter[Verdict], float, float]:
    """Words of single slopes at alpha 0.05, the share that is false, and coverage where there is an interval."""
    words = Counter(decide([one.difference], [QUARTER], alpha=0.05, unmeasurable=[one.why])[0].verdict for one in found)
    wrong = sum(count for word, count in words.items() if is_false(word, truth, QUARTER)) / len(found)
    known = [one.difference for one in found if one.difference.known]
    covered = [d.low <= truth <= d.high for d in known]
    return words, wrong, float(np.mean(covered)) if covered else math.nan


EQUAL_SLOPES: dict[str, Learning] = {
    "equal curves": BASE,
    "equal curves, ahead 1": replace(BASE, ahead=1.0),
    "equal curves, ahead 3": replace(BASE, ahead=3.0),
    "equal curves, ahead 5": replace(BASE, ahead=5.0),
    "rate .5, ahead 3": replace(BASE, rate=0.5, ahead=3.0),
    "wait 4 at chance": replace(BASE, wait=4.0),
    "wait 8 at chance": replace(BASE, wait=8.0),
    "power law, ahead 1": replace(BASE, shape="power law", rate=0.5, ahead=1.0),
    "power law, ahead 3": replace(BASE, shape="power law", rate=0.5, ahead=3.0),
    "two exponentials, ahead 3": replace(BASE, shape="two exponentials", rate=0.5, ahead=3.0),
    "two exponentials, ahead 1": replace(BASE, shape="two exponentials", rate=0.5, ahead=1.0),
    "sigmoid, ahead 3": replace(BASE, shape="sigmoid", rate=0.4, ahead=3.0),
    "sigmoid, ahead 1": replace(BASE, shape="sigmoid", rate=0.4, ahead=1.0),
    **{
        f"{shape}, {name}, ahead 3": replace(BASE, shape=shape, rate=rate, schedule=name, ahead=3.0)
        for shape, rate in (
            ("exponential", 0.25),
            ("power law", 0.5),
            ("two exponentials", 0.5),
            ("sigmoid", 0.4),
        )
        for name in ("cosine", "warm-up", "step")
    },
    "cosine, ahead 6": replace(BASE, schedule="cosine", ahead=6.0),
    "cosine, wait 4": replace(BASE, schedule="cosine", wait=4.0),
    **{
        f"rate {rate}, {kind} {by}": replace(BASE, rate=rate, **{kind: by})
        for rate in (0.15, 0.4, 0.8, 1.5)
        for kind, by in (("ahead", 0.7), ("wait", 2.4))
    },
}
ESSENTIAL = ("equal curves, ahead 3", "wait 4 at chance", "power law, ahead 3", "exponential, cosine, ahead 3")


def equal_slopes(name: str, studies: int) -> None:
    rng = np.random.default_rng(0)
    found = [timed(rng, EQUAL_SLOPES[name]) for _ in range(studies)]
    words, wrong, covered = slope_rates(found, 0.0)
    shares = {str(word): words[word] / studies for word in Verdict if words[word]}
    tell(name, false=wrong, coverage=covered, **shares)
    assert wrong <= at_most(FALSE, studies)
    unmeasurable = words[Verdict.NOT_MEASURABLE] / studies
    if name in ESSENTIAL:
        assert unmeasurable == 0, "coverage would be that of few studies, or of none"
    if unmeasurable < 0.5:
        assert covered >= at_least(0.93, studies)


@pytest.mark.parametrize("name", ESSENTIAL)
def test_equal_slopes_are_not_called_different(name):
    equal_slopes(name, QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("name", EQUAL_SLOPES)
def test_equal_slopes_are_not_called_different_in_2000_studies(name):
    equal_slopes(name, SLOW)


def shared_slopes(interaction: float, world: Learning, name: str, studies: int) -> None:
    rng = np.random.default_rng(1)
    found = [timed_on_shared_images(rng, world, interaction, images=300) for _ in range(studies)]
    _, wrong, covered = slope_rates(found, 0.0)
    tell(f"slope, {name}, shared images, interaction {interaction}", false=wrong, coverage=covered)
    assert wrong <= at_most(FALSE, studies)
    assert covered >= at_least(0.93, studies)


@pytest.mark.slow
@pytest.mark.parametrize("interaction", [0.3, 0.5])
def test_equal_slopes_on_shared_images(interaction):
    shared_slopes(interaction, replace(BASE, start=0.5, ahead=2.0, sd_rate=0.05), "ahead 2", SLOW)


DOUBLED = {  # the common range is 0.2 or more, the middle 60 % of the faster arm takes 3 evaluations
    "start .72": Learning(start=0.72, rate=math.log(4) / 6, factor=2.0),
    "start .72, cosine": Learning(start=0.71, rate=math.log(4) / 5.8, factor=2.0, schedule="cosine"),
    "start .3": Learning(start=0.3, rate=math.log(4) / 6, factor=2.0),
}


def doubled(name: str, studies: int) -> None:
    rng = np.random.default_rng(2)
    words, _, covered = slope_rates([timed(rng, DOUBLED[name]) for _ in range(studies)], math.log(2))
    tell(f"rate doubled, {name}", power=words[Verdict.YES] / studies, coverage=covered)
    assert words[Verdict.YES] / studies >= at_least(0.8, studies)
    assert covered >= at_least(0.93, studies)


@pytest.mark.parametrize("name", ["start .72"])
def test_a_doubled_rate_is_seen(name):
    doubled(name, QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("name", DOUBLED)
def test_a_doubled_rate_is_seen_in_2000_studies(name):
    doubled(name, SLOW)


@pytest.mark.slow
def test_a_doubled_rate_is_seen_on_shared_images():
    rng, studies = np.random.default_rng(14), 400
    found = [timed_on_shared_images(rng, DOUBLED["start .72"], 0.3) for _ in range(studies)]
    words, _, covered = slope_rates(found, math.log(2))
    tell("rate doubled, start .72, shared images", power=words[Verdict.YES] / studies, coverage=covered)
    assert words[Verdict.YES] / studies >= at_least(0.8, studies)
    assert covered >= at_least(0.93, studies)


@pytest.mark.slow
def test_a_rate_seen_in_one_evaluation_is_mostly_not_measurable():
    rng = np.random.default_rng(3)
    words, _, _ = slope_rates([timed(rng, replace(BASE, rate=3.0, wait=1.4)) for _ in range(500)], 0.0)
    assert words[Verdict.NOT_MEASURABLE] >= 450

"""How many seeds, or images, would decide a difference of a given size."""

from __future__ import annotations

import math
from collections.abc import Callable

from headstart.report.statistics.crossed_intervals import VarianceComponents

POWER = 0.8
MOST_SEEDS = 1000
MOST_IMAGES = 10_000_000


def power_of(
    parts: VarianceComponents,
    effect: float,
    alpha: float,
    *,
    seeds: int,
    images: float | None = None,
    allowance: float = 0.0,
) -> float:
    """The probability that a true difference of this size is decided by a two-sided t test at alpha, 0 .. 1.

    Variance as the components say, degrees of freedom by Satterthwaite; noncentral t. The other side's
    rejections are left out.

    Args:
        parts: Variance components of the difference.
        effect: The true difference, in units of the metric.
        alpha: The level of the test.
        seeds: Number of seeds.
        images: Of one seed; None means as many as now.
        allowance: What the mean may be wrong by apart from random variation, as in `Interval`.
    """
    from scipy.special import nctdtr, stdtrit

    n = parts.images if images is None else images
    variance, df = parts.variance(seeds, n), _df(parts, seeds, n)
    if seeds < 2 or not math.isfinite(variance) or not 0 < alpha < 1 or abs(effect) <= allowance:
        return 0.0
    if variance <= 0:
        return 1.0
    away = (abs(effect) - allowance) / math.sqrt(variance)
    if away > 30:
        return 1.0
    return 1 - float(nctdtr(df, away, float(stdtrit(df, 1 - alpha / 2))))


def seeds_needed(
    parts: VarianceComponents, effect: float, alpha: float, power: float = POWER, *, allowance: float = 0.0
) -> int | None:
    """The least number of seeds in all that decides a true difference of this size; images stay as they are.

    None where no number does, or more than 1,000: where all seeds share their images, more seeds leave the variance
    between images as it is.

    Args:
        parts: Variance components of the difference.
        effect: The true difference, in units of the metric.
        alpha: The level of the test.
        power: The least probability of a decision.
        allowance: As in `power_of`.
    """
    return _least(
        2, MOST_SEEDS, lambda seeds: power_of(parts, effect, alpha, seeds=seeds, allowance=allowance) >= power
    )


def images_needed(
    parts: VarianceComponents, effect: float, alpha: float, power: float = POWER, *, seeds: int | None = None
) -> int | None:
    """The least number of images (of one seed) that decides a true difference of this size, with as many seeds as now.

    None where no number of images does: the seeds alone differ too much.

    Args:
        parts: Variance components of the difference.
        effect: The true difference, in units of the metric.
        alpha: The level of the test.
        power: The least probability of a decision.
        seeds: Another number of seeds than now.
    """
    count = parts.seeds if seeds is None else seeds
    if not math.isfinite(parts.images):
        return None
    return _least(2, MOST_IMAGES, lambda images: power_of(parts, effect, alpha, seeds=count, images=images) >= power)


def _least(first: int, last: int, enough: Callable[[int], bool]) -> int | None:
    """By bisection: what is enough stays so."""
    if not enough(last):
        return None
    while first < last:
        middle = (first + last) // 2
        first, last = (first, middle) if enough(middle) else (middle + 1, last)
    return first


def _df(parts: VarianceComponents, seeds: int, images: float) -> float:
    shared = parts.image * parts.shared / images
    if seeds < 2 or shared <= 0:
        return max(1.0, seeds - 1.0)
    both = parts.residual * parts.shared / (seeds * images)
    over_seeds = parts.variance(seeds, images) - shared
    b = max(1.0, images - 1)
    spread = over_seeds**2 / (seeds - 1) + (shared + both) ** 2 / b + both**2 / ((seeds - 1) * b)
    if spread <= 0:
        return (seeds - 1.0) ** 2
    return float(min(max((over_seeds + shared) ** 2 / spread, min(seeds - 1, b)), (seeds - 1) ** 2))

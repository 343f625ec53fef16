"""Interval of a difference over seeds and images, where runs of several seeds are measured on the same images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.report.statistics.seed_intervals import Interval, interval_of, t_interval

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Contributions:
    """What each image contributes to one seed's paired difference; the mean of the values is that difference.

    Args:
        image: Which image it is, uint64 (n,): equal images of two seeds have equal numbers. Groups of images, with
            the pseudo-values of `jackknife.py`, serve as well.
        value: Its contribution, (n,); for accuracy: right with the mode minus right with the baseline, -1, 0 or 1.
    """

    image: NDArray[np.uint64]
    value: Floats

    @property
    def mean(self) -> float:
        """The seed's difference; nan without images."""
        return float(np.mean(self.value)) if len(self.value) else math.nan


@dataclass(frozen=True)
class VarianceComponents:
    """Variance components of a difference d(seed, image) = mean + seed + image + residual.

    The variance of the mean over S seeds of n images each is
    seed / S + image * shared / n + (image * (1 - shared) + residual) / (S n).
    """

    seed: float  # between seeds, apart from their images
    image: float  # between images, of what all seeds share: 0 where no two seeds share images
    residual: float  # of one image of one seed: seed by image, and the randomness of one answer
    images: float  # of one seed
    shared: float  # 0..1: the share of a seed's images that another seed has too
    seeds: int

    def variance(self, seeds: int, images: float | None = None) -> float:
        """The variance of the mean difference.

        Args:
            seeds: Number of seeds.
            images: Of each seed; None means as many as now.
        """
        n = self.images if images is None else images
        alone = self.image * (1 - self.shared) + self.residual
        return self.seed / seeds + self.image * self.shared / n + alone / (seeds * n)


def parts_over_seeds(values: Sequence[float]) -> VarianceComponents:
    """Components of differences of which no images are known: all variance is between seeds.

    Args:
        values: One difference a seed.
    """
    finite = [value for value in values if math.isfinite(value)]
    variance = float(np.var(finite, ddof=1)) if len(finite) > 1 else math.nan
    return VarianceComponents(variance, 0.0, 0.0, math.inf, 0.0, len(finite))


def crossed_parts(seeds: Sequence[Contributions]) -> VarianceComponents:
    """Variance components of the paired differences of several seeds; nan with fewer than two.

    The image part is the mean covariance of two seeds over the images that both have; for seeds that have all images
    in common it is the analysis of variance of the crossed design. Estimates below 0 are 0.

    Args:
        seeds: What each image contributes to the difference of each seed.
    """
    return _estimate(seeds, 0.0).parts


def crossed_interval(seeds: Sequence[Contributions], *, resolution: float) -> Interval:
    """95 % interval of the mean difference over seeds and images, both a sample of those that could have been drawn.

    Variance: s²/S + b² * o; s² is the variance of the seeds' differences, b² the variance between images of what
    all seeds share, o the mean over pairs of seeds of |images of both| / (images of one * images of the other).
    Where all seeds have the same images this is Vs + Vi - Vr of the crossed design (Vs = s²/S, Vi = variance of the
    images' means / N, Vr = residual mean square / (S N)), with Satterthwaite's degrees of freedom
    V² / (Vs²/(S-1) + Vi²/(N-1) + Vr²/((S-1)(N-1))). No true component is below 0: an image part estimated below 0
    is 0, and Vs counts as Vr at least. At most (S-1)² degrees of freedom are believed: with 3 seeds Satterthwaite's
    formula, on a Vs that came out small by chance, rejects 8 % at nominal 5, and 3 % at nominal 0.9; so 6 and 1.3 %.
    Where no two seeds share an image, it is `t_interval` over the seeds.
    Cornfield & Tukey 1956, Average values of mean squares in factorials; Satterthwaite 1946, An approximate
    distribution of estimates of variance components.

    Args:
        seeds: What each image contributes to the difference of each seed.
        resolution: The least standard deviation between seeds that is believed, as in `t_interval`.
    """
    known = [seed for seed in seeds if math.isfinite(seed.mean)]
    estimate = _estimate(known, resolution)
    means = [seed.mean for seed in known]
    if len(known) < 2 or estimate.shared_images < 2:
        return t_interval(means, resolution=resolution)
    variance = estimate.variance
    mean = math.fsum(means) / len(means)
    if variance <= 1e-24 * max(1.0, mean**2):
        return t_interval(means, resolution=resolution)
    return interval_of(mean, math.sqrt(variance), estimate.df, len(known), floored=estimate.floored)


@dataclass(frozen=True)
class _Estimate:
    parts: VarianceComponents
    over_seeds: float = math.nan  # Vs
    over_images: float = math.nan  # Vi
    over_both: float = math.nan  # Vr
    shared_images: int = 0  # that two seeds or more have
    sharing: float = 0.0  # seeds of one of them
    floored: bool = False

    @property
    def variance(self) -> float:
        """Vs + Vi - Vr, without what would be below 0."""
        return max(self.over_seeds, self.over_both) + max(0.0, self.over_images - self.over_both)

    @property
    def df(self) -> float:
        """Satterthwaite's degrees of freedom, from what the seeds give to what they are believed to give."""
        a, b = self.parts.seeds - 1, self.shared_images - 1
        spread = self.over_seeds**2 / a
        if self.over_images > self.over_both:
            spread += self.over_images**2 / b + self.over_both**2 / (max(1.0, self.sharing - 1) * b)
        df = self.variance**2 / spread if spread > 0 else math.inf
        return float(min(max(df, min(a, b)), a**2))


def _estimate(seeds: Sequence[Contributions], resolution: float) -> _Estimate:
    count = len(seeds)
    if count < 2:
        return _Estimate(VarianceComponents(math.nan, math.nan, math.nan, math.nan, math.nan, count))
    values, presence = _table(seeds)
    n = presence.sum(axis=1)  # images of each seed
    s2 = float(np.var([seed.mean for seed in seeds], ddof=1))
    pairs = np.triu_indices(count, 1)
    both = (presence @ presence.T)[pairs]
    overlap = float(np.mean(both / (n[pairs[0]] * n[pairs[1]])))
    floored = s2 < max(resolution, 1e-12) ** 2
    s2 = max(s2, resolution**2)
    images = float(n.mean())
    enough = both >= 2
    if not enough.any():  # nothing tells image from residual, and nothing needs it
        within = float(np.mean([np.var(seed.value, ddof=1) if len(seed.value) > 1 else 0.0 for seed in seeds]))
        parts = VarianceComponents(max(0.0, s2 - within / images), 0.0, within, images, 0.0, count)
        return _Estimate(parts, over_seeds=s2 / count, floored=floored)
    sums = values @ presence.T  # [s, t]: of the values of s over the images of both
    squares = (values**2) @ presence.T
    first_sums, second_sums = sums[pairs], sums.T[pairs]
    dof = float((both - 1)[enough].sum())
    safe = np.maximum(both, 1)
    covariance = float(((values @ values.T)[pairs] - first_sums * second_sums / safe)[enough].sum()) / dof
    spread = squares[pairs] - first_sums**2 / safe + squares.T[pairs] - second_sums**2 / safe
    residual = max(0.0, float(spread[enough].sum()) / (2 * dof) - covariance)
    times = presence.sum(axis=0)
    times = times[times >= 2]
    sharing = 1 + float((times * (times - 1)).sum() / times.sum())
    shared = min(1.0, overlap * images)
    image = max(0.0, covariance)
    alone = (image * (1 - shared) + residual) / images
    return _Estimate(
        VarianceComponents(max(0.0, s2 - alone), image, residual, images, shared, count),
        over_seeds=s2 / count,
        over_images=overlap * (covariance + residual / sharing),
        over_both=overlap * residual / sharing,
        shared_images=len(times),
        sharing=sharing,
        floored=floored,
    )


def _table(seeds: Sequence[Contributions]) -> tuple[Floats, Floats]:
    """(values, 1 where there is one), both (seeds, images in all); values around their seed's mean, 0 where none."""
    first = seeds[0].image
    if all(np.array_equal(seed.image, first) for seed in seeds) and len(np.unique(first)) == len(first):
        values = np.stack([np.asarray(seed.value, dtype=np.float64) for seed in seeds])
        return values - values.mean(axis=1, keepdims=True), np.ones_like(values)
    images, place = np.unique(np.concatenate([seed.image for seed in seeds]), return_inverse=True)
    values, presence = np.zeros((len(seeds), len(images))), np.zeros((len(seeds), len(images)))
    begin = 0
    for row, seed in enumerate(seeds):
        where = place[begin : begin + len(seed.image)]
        begin += len(seed.image)
        times = np.bincount(where, minlength=len(images))  # an image can be in a split twice
        total = np.bincount(where, weights=seed.value - seed.mean, minlength=len(images))
        values[row] = total / np.maximum(times, 1)
        presence[row] = times > 0
    return values, presence

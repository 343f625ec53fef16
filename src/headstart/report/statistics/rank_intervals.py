"""Intervals of ranks, and of differences from the best, from scores of half of the images."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, t

LEVEL = 0.95

Floats = NDArray[np.float64]


class RankInterval(NamedTuple):
    """The rank of a candidate by a score, 1 the best; equal ones share the mean of their ranks.

    Attributes:
        rank: On all images.
        low: What the rank does not fall below in 97.5 of 100 draws; nan where there are no draws.
        high: What it does not exceed in as many.
        first: The share of the draws in which the candidate is first.
    """

    rank: float
    low: float
    high: float
    first: float


def ranks(values: Floats) -> Floats:
    """Ranks from 1, the largest value first, of the last axis; a value that is nan has none (nan).

    Args:
        values: (..., candidates).
    """
    return np.asarray(rankdata(-np.asarray(values, dtype=np.float64), axis=-1, nan_policy="omit"))


def centred_draws(whole: Floats, halves: Floats, share: float) -> Floats:
    """Draws of the scores of all images, (draws, candidates), from those of halves without replacement.

    The spread of a smooth statistic over halves of n images is that of the statistic of n images: its variance is
    that of n/2 images, s²/(n/2), times 1 - (n/2)/n (the delete-half jackknife; Shao & Wu 1989, A General Theory for
    Jackknife Variance Estimation). No image is there twice, as a bootstrap would have it, whose copies are each
    other's nearest neighbours. The level at half of the images, which learning scores have lower, is left out: the
    draws are centred at the score of all.

    Args:
        whole: (candidates,), of all images.
        halves: (draws, candidates), each draw the same images for all candidates.
        share: The images that the halves are halves of, over those that `whole` was computed on.
    """
    if not len(halves):
        return np.empty((0, len(whole)))
    return np.asarray(whole + (halves - halves.mean(axis=0)) * np.sqrt(share))


def rank_intervals(whole: Floats, draws: Floats) -> list[RankInterval]:
    """The interval of each candidate's rank.

    Args:
        whole: (candidates,), nan where a candidate has no such score.
        draws: (draws, candidates); no draws give no intervals.
    """
    own = ranks(whole)
    if not len(draws):
        return [RankInterval(float(rank), np.nan, np.nan, np.nan) for rank in own]
    drawn = ranks(draws)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    best = draws == np.nanmax(draws, axis=1, keepdims=True)
    first = (best / best.sum(axis=1, keepdims=True)).mean(axis=0)
    return [RankInterval(*map(float, row)) for row in zip(own, low, high, first, strict=True)]


class Behind(NamedTuple):
    """How far a candidate is behind the first one, and the interval of that."""

    difference: float  # of the score, at most 0
    low: float
    high: float

    @property
    def is_told_apart(self) -> bool:
        """Whether the interval lies below 0."""
        return self.high < 0


def behind_first(whole: Floats, draws: Floats, first: int) -> list[Behind]:
    """The difference of each candidate to the first one, with a simultaneous 95 % interval for all of them.

    A paired t interval of the draws' spread, at the level that Bonferroni's inequality gives for so many comparisons.

    Args:
        whole: (candidates,).
        draws: (draws, candidates); without draws the interval is infinite.
        first: The number of the first.
    """
    difference = whole - whole[first]
    others = max(1, int(np.isfinite(whole).sum()) - 1)
    if len(draws) < 2:
        return [Behind(float(gap), -np.inf, np.inf) for gap in difference]
    spread = (draws - draws[:, [first]]).std(axis=0, ddof=1)
    width = spread * t.ppf(1 - (1 - LEVEL) / 2 / others, len(draws) - 1)
    return [Behind(*map(float, row)) for row in zip(difference, difference - width, difference + width, strict=True)]

"""How well scores rank models over several targets: rank correlations, the top pick's regret, their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.stats import t

from headstart.report.statistics.rank_correlation import rank_correlation

LEVEL = 0.95
MEASURES = ("weighted", "plain", "regret")
RANDOM = "random"  # a choice by chance

Floats = NDArray[np.float64]


class Outcomes(NamedTuple):
    """What came of fine-tuning each model on each target.

    Attributes:
        mean: Test metric, the mean over seeds (targets, models); more is better.
        tie: The difference of two models of a target that seeds alone make in 95 of 100 cases (targets,).
    """

    mean: Floats
    tie: Floats


class CheckedScore(NamedTuple):
    """A measure of one score, the mean over targets and seeds, and its bootstrap interval."""

    value: float
    low: float
    high: float


def outcomes(values: Floats) -> Outcomes:
    """Means over seeds, and what counts as a tie.

    The spread over seeds of a target is pooled over its models, less what a seed does to all of them alike; the
    tie is the half-width of the paired t interval of a difference of two means.

    Args:
        values: Test metric (targets, seeds, models), 2 seeds or more.
    """
    targets, seeds, models = values.shape
    rest = values - values.mean(axis=1, keepdims=True) - values.mean(axis=2, keepdims=True)
    rest = rest + values.mean(axis=(1, 2), keepdims=True)
    df = (seeds - 1) * (models - 1)
    spread = np.sqrt((rest**2).sum(axis=(1, 2)) / df)
    return Outcomes(values.mean(axis=1), t.ppf((1 + LEVEL) / 2, df) * spread * np.sqrt(2 / seeds) * np.ones(targets))


def measures_of(outcome: Outcomes, score: Floats, models: NDArray[np.int64]) -> Floats:
    """Weighted tau, plain tau and the regret of the top pick (targets, 3), the mean over seeds.

    Models whose outcomes differ by no more than the tie count as equal in the taus; the regret is the best outcome
    less that of the pick, of equal scores the mean. A model that the score does not have is left out of its taus and
    is never its pick; the best is that of all models.

    Args:
        outcome: Of all models.
        score: (targets, seeds, models), nan where there is none.
        models: The numbers of the models that are looked at, of a bootstrap some of them several times.
    """
    found = np.full((len(outcome.mean), score.shape[1], 3), np.nan)
    for at, truth in enumerate(outcome.mean[:, models]):
        for seed, values in enumerate(score[at][:, models]):
            has = np.isfinite(values)
            if has.sum() < 1:
                continue
            true, given = truth[has], values[has]
            tied = np.abs(true[:, None] - true) <= outcome.tie[at]
            found[at, seed, 0] = rank_correlation(true, given, weighted=True, tied=tied)
            found[at, seed, 1] = rank_correlation(true, given, weighted=False, tied=tied)
            found[at, seed, 2] = truth.max() - true[given == given.max()].mean()
    return _mean(found, axis=1)


def _mean(values: Floats, axis: int) -> Floats:
    """The mean of what is finite, nan where nothing is."""
    has = np.isfinite(values)
    count = has.sum(axis=axis)
    summed = np.where(has, values, 0).sum(axis=axis)
    return np.asarray(np.where(count > 0, summed / np.maximum(count, 1), np.nan))


def by_chance(outcome: Outcomes, models: NDArray[np.int64]) -> Floats:
    """The same of a choice by chance (targets, 3): no correlation, and the regret of the mean model.

    Args:
        outcome: Of all models.
        models: As for measures_of.
    """
    truth = outcome.mean[:, models]
    regret = truth.max(axis=1) - truth.mean(axis=1)
    return np.stack([np.zeros(len(truth)), np.zeros(len(truth)), regret], axis=1)


class ScoreCheck(NamedTuple):
    """All scores over all targets.

    Attributes:
        values: Score -> measure -> its mean and interval.
        against: Baseline -> score -> measure -> the score's value less the baseline's, and the paired interval.
        tied_with_best: Score -> the share of targets and seeds where its pick is tied with the best.
    """

    values: dict[str, dict[str, CheckedScore]]
    against: dict[str, dict[str, dict[str, CheckedScore]]]
    tied_with_best: dict[str, float]


def checked_scores(
    outcome: Outcomes, scores: Mapping[str, Floats], *, baselines: tuple[str, ...], draws: int, rng: Generator
) -> ScoreCheck:
    """Each score's measures with intervals of a bootstrap over targets and models, paired over all scores.

    Targets and models are drawn with replacement, each draw the same for all scores; a model that is there twice is
    tied with itself. Intervals are percentiles. Those against baselines are simultaneous over the scores
    (Bonferroni), as far as so many draws have such percentiles.

    Args:
        outcome: Of all models.
        scores: Name -> (targets, seeds, models), more is better; the baselines among them, but for RANDOM.
        baselines: The scores that the others are compared with.
        draws: Of the bootstrap.
        rng: Draws.
    """
    targets, models = outcome.mean.shape
    names = [*scores, RANDOM]
    everything = np.arange(models)
    own = np.stack([_of(name, outcome, scores, everything) for name in names])  # (names, targets, 3)
    mean = _mean(own, axis=1)
    drawn = np.empty((draws, len(names), 3))
    for draw in range(draws):
        chosen = np.asarray(rng.integers(models, size=models), dtype=np.int64)
        which = rng.integers(targets, size=targets)
        part = Outcomes(outcome.mean[which], outcome.tie[which])
        picked = {name: values[which] for name, values in scores.items()}
        drawn[draw] = _mean(np.stack([_of(name, part, picked, chosen) for name in names]), axis=1)
    values = {name: _checked(mean[at], drawn[:, at], 1) for at, name in enumerate(names)}
    against = {
        base: {
            name: _checked(
                mean[at] - mean[names.index(base)], drawn[:, at] - drawn[:, names.index(base)], len(scores) - 1
            )
            for at, name in enumerate(names)
            if name not in (base, RANDOM)
        }
        for base in (*baselines, RANDOM)
    }
    tied = {name: _tied_share(outcome, values) for name, values in scores.items()}
    return ScoreCheck(values, against, tied)


def _of(name: str, outcome: Outcomes, scores: Mapping[str, Floats], models: NDArray[np.int64]) -> Floats:
    return by_chance(outcome, models) if name == RANDOM else measures_of(outcome, scores[name], models)


def _checked(mean: Floats, drawn: Floats, comparisons: int) -> dict[str, CheckedScore]:
    tail = (1 - LEVEL) / 2 / max(1, comparisons)
    low, high = np.nanquantile(drawn, [tail, 1 - tail], axis=0)
    return {
        measure: CheckedScore(float(mean[at]), float(low[at]), float(high[at])) for at, measure in enumerate(MEASURES)
    }


def _tied_share(outcome: Outcomes, score: Floats) -> float:
    """How often the pick is within the tie of the best."""
    hits = [
        truth.max() - truth[int(np.nanargmax(values))] <= outcome.tie[at]
        for at, truth in enumerate(outcome.mean)
        for values in score[at]
        if np.isfinite(values).any()
    ]
    return float(np.mean(hits)) if hits else float("nan")

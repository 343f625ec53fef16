"""Kendall's rank correlation between a truth and a score, plain or weighted for the top, with ties by interval."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

DRAWS = 10_000  # of a null distribution


def rank_correlation(
    truth: ArrayLike, score: ArrayLike, *, weighted: bool, tied: NDArray[np.bool_] | None = None
) -> float:
    """Kendall's tau-b; weighted: each pair counts by 1/(r_i + 1) + 1/(r_j + 1), r the rank from 0 at the top.

    The weighted one is the mean of those with the ranks of the truth and of the score, as scipy.stats.weightedtau has
    it (Vigna 2015, A weighted correlation index for rankings with ties, WWW). A score that is the same for all has 0;
    where the truth is, there is none (nan).

    Args:
        truth: (n,), more is better.
        score: (n,), more is better.
        weighted: Whether the top counts for more.
        tied: (n, n), the pairs whose truths cannot be told apart; None for those that are equal.
    """
    true, scores = np.asarray(truth, dtype=np.float64), np.asarray(score, dtype=np.float64)
    of_truth, of_score = (np.sign(values[:, None] - values) for values in (true, scores))
    if tied is not None:
        of_truth = np.where(tied, 0.0, of_truth)
    if not of_truth.any():
        return float("nan")
    if not of_score.any():
        return 0.0
    if not weighted:
        return _of_pairs(of_truth, of_score, np.ones_like(of_truth))
    orders = (np.lexsort((scores, true))[::-1], np.lexsort((true, scores))[::-1])
    return float(np.mean([_of_pairs(of_truth, of_score, _weights(order)) for order in orders]))


def _weights(order: NDArray[np.int64]) -> NDArray[np.float64]:
    rank = np.empty(len(order))
    rank[order] = np.arange(len(order))
    return np.asarray(1 / (rank[:, None] + 1) + 1 / (rank + 1))


def _of_pairs(of_truth: NDArray[np.float64], of_score: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    agreed, left, right = ((weight * pair).sum() for pair in (of_truth * of_score, of_truth**2, of_score**2))
    return float(agreed / np.sqrt(left * right))


@cache
def null_point(models: int, *, weighted: bool, level: float = 0.95) -> float:
    """What the rank correlation of a score that knows nothing stays below, in so many of 100 sets of models.

    Args:
        models: In a set, at least 2.
        weighted: As for rank_correlation.
        level: The share of sets.
    """
    rng = np.random.default_rng(0)
    truth = np.arange(models)[::-1]
    values = [rank_correlation(truth, rng.permutation(models), weighted=weighted) for _ in range(DRAWS)]
    return float(np.quantile(values, level))

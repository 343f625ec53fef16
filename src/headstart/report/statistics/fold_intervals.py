"""Interval over the folds of a cross-validation, whose training sets overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence

from headstart.report.statistics.seed_intervals import Interval, interval_of, t_interval


def fold_interval(values: Sequence[float], *, val_over_train: float, resolution: float) -> Interval:
    """95 % interval of the mean over J folds: variance (1/J + n_val/n_train) * s², J - 1 degrees of freedom.

    Two folds share most of their training images, so s²/J is too small; no estimate without bias exists, and this one
    holds its level. Nadeau & Bengio 2003, Inference for the generalization error; repeated folds: Bouckaert & Frank
    2004, Evaluating the replicability of significance tests.

    Args:
        values: One paired difference a fold; of repeated cross-validation all folds of all repeats.
        val_over_train: Validation images over training images of one fold (5 folds: 0.25).
        resolution: The least standard deviation that is believed, as in `t_interval`.
    """
    plain = t_interval(values, resolution=resolution)
    if not plain.known:
        return plain
    error = plain.error * math.sqrt(1 + plain.n * val_over_train)
    return interval_of(plain.mean, error, plain.df, plain.n, floored=plain.floored)

"""Bootstrap of a learning curve: over the draws of training images and over the images that measure it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Correct = NDArray[np.bool_]  # (draws, images): whether each image was classified right


def resampled_errors(correct: Sequence[Correct], *, replicates: int, seed: int) -> Floats:
    """Mean errors at each size (replicates, sizes), each replicate with other draws and other measuring images.

    The images that are drawn are the same at all sizes; draws are drawn at each size alone. A size with one draw (all
    images, of which there is one choice) has the spread of the draws before it, as normal noise: how much the curve
    depends on which images there are is not known there. The image part of the spread is not taken twice: the noise is
    of the draws' mean errors over all measuring images.

    Args:
        correct: Of each size.
        replicates: How often.
        seed: Of the resampling.
    """
    rng = np.random.default_rng(seed)
    images = correct[0].shape[1]
    share = rng.multinomial(images, np.full(images, 1 / images), size=replicates) / images  # (R, V)
    errors, spread = np.empty((replicates, len(correct))), 0.0
    for size, table in enumerate(correct):
        by_draw = 1 - share @ table.T  # (R, draws)
        draws = len(table)
        if draws > 1:
            spread = float((1 - table.mean(axis=1)).std(ddof=1))
            taken = rng.multinomial(draws, np.full(draws, 1 / draws), size=replicates) / draws
            errors[:, size] = (by_draw * taken).sum(axis=1)
        else:
            errors[:, size] = np.clip(by_draw[:, 0] + spread * rng.normal(size=replicates), 0, 1)
    return errors


def error_weights(correct: Sequence[Correct]) -> Floats:
    """(sizes,), one over the variance of the mean error at each size, by draws and images.

    Args:
        correct: Of each size.
    """
    variances, spread = [], 0.0
    for table in correct:
        if len(table) > 1:
            spread = float((1 - table.mean(axis=1)).var(ddof=1))
        share = (table.sum() + 0.5) / (table.size + 1)  # never 0 or 1, where the variance would be 0
        variances.append(spread / len(table) + share * (1 - share) / table.shape[1])
    return 1 / np.asarray(variances)

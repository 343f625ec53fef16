"""Forecast of a learning curve: what more labelled images would bring, with an interval, and a check of itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from headstart.evaluation.forecast.curve_resampling import Correct, error_weights, resampled_errors
from headstart.evaluation.forecast.error_power_law import FEWEST_SIZES, PowerLaws, power_laws

TAILS = (2.5, 97.5)  # percent


class Estimate(NamedTuple):
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


class Backtest(NamedTuple):
    """What the curve up to half of the images predicted of all of them, and what was measured there.

    Attributes:
        images: Of the last size.
        predicted: The accuracy there, with the interval in which the measured one should lie.
        measured: The accuracy there.
    """

    images: int
    predicted: Estimate
    measured: float

    @property
    def holds(self) -> bool:
        """Whether the measured accuracy lies in the interval."""
        return self.predicted.low <= self.measured <= self.predicted.high


class Forecast(NamedTuple):
    """The power law of a curve, and what it says of more images.

    Attributes:
        law: Of the mean errors (one curve).
        laws: Of the bootstrap's curves.
        gain: Accuracy with `more` images more, less that with all there are, both by the law.
        accuracy: With `more` images more.
        limit: With ever more images: what is beyond it needs other features.
        backtest: None where half of the images have too few sizes.
        is_off: Whether the law misses what was measured with all images by more than chance explains: the curve is no
            power law, as where accuracy falls with more images, and nothing above is to be believed.
    """

    law: PowerLaws
    laws: PowerLaws
    gain: Estimate
    accuracy: Estimate
    limit: Estimate
    backtest: Backtest | None
    is_off: bool


def forecast(images: Sequence[int], correct: Sequence[Correct], *, more: int, replicates: int, seed: int) -> Forecast:
    """The power law of a learning curve, continued by so many images.

    Intervals are of the bootstrap over draws and measuring images; that the law holds is assumed, which the backtest
    tries: the interval of its prediction has the measured accuracy's own spread in it.

    Args:
        images: (S,), rising.
        correct: Of each size, (draws, V).
        more: Images.
        replicates: Of the bootstrap.
        seed: Of the bootstrap.

    Raises:
        ValueError: There are fewer than 3 sizes.
    """
    weights = error_weights(correct)
    means = np.array([[1 - table.mean() for table in correct]])
    replicated = resampled_errors(correct, replicates=replicates, seed=seed)
    law, laws = power_laws(images, means, weights), power_laws(images, replicated, weights)
    total = images[-1]
    gains = laws.error(total) - laws.error(total + more)
    return Forecast(
        law=law,
        laws=laws,
        gain=_estimate(float((law.error(total) - law.error(total + more))[0]), gains),
        accuracy=_estimate(float(1 - law.error(total + more)[0]), 1 - laws.error(total + more)),
        limit=_estimate(float(1 - law.floor[0]), 1 - laws.floor),
        backtest=_backtest(images, means, replicated, weights),
        is_off=_is_off(replicated[:, -1] - laws.error(total)),
    )


def _is_off(differences: np.ndarray) -> bool:
    """Whether the differences of the bootstrap lie on one side of 0."""
    low, high = (float(np.percentile(differences, q)) for q in TAILS)
    return not low <= 0 <= high


def _backtest(images: Sequence[int], means: np.ndarray, replicated: np.ndarray, weights: np.ndarray) -> Backtest | None:
    known = [place for place, count in enumerate(images) if count <= images[-1] / 2]
    if len(known) < FEWEST_SIZES:
        return None
    sizes = [images[place] for place in known]
    law = power_laws(sizes, means[:, known], weights[known])
    laws = power_laws(sizes, replicated[:, known], weights[known])
    # the same images measure both, so that their part of the spread is in the difference as far as it is not shared
    off = replicated[:, -1] - laws.error(images[-1])
    center = float(law.error(images[-1])[0])
    spread = off - float(means[0, -1]) + center
    low, high = (float(np.clip(1 - center - np.percentile(spread, q), 0, 1)) for q in reversed(TAILS))
    return Backtest(images[-1], Estimate(1 - center, low, high), float(1 - means[0, -1]))


def _estimate(value: float, replicates: np.ndarray) -> Estimate:
    low, high = (float(np.percentile(replicates, q)) for q in TAILS)
    return Estimate(value, min(low, value), max(high, value))

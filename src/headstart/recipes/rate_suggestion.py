"""Learning rates that the curve of a range test suggests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FEWEST = 10  # points of a curve that says anything
LAST_LEFT_OUT = 5  # points: where the loss already rises


class RateSuggestion(NamedTuple):
    """Two rates that a curve suggests, or why it suggests none.

    Attributes:
        valley: The middle of the longest fall of the loss; None where there is none.
        steepest: Where the loss falls fastest; None as above.
        reason: Why there is none; empty where there are both.
    """

    valley: float | None
    steepest: float | None
    reason: str = ""


def rate_suggestion(rates: Sequence[float], losses: Sequence[float], smoothed: Sequence[float]) -> RateSuggestion:
    """What fastai's lr_find suggests of a curve (`valley`, its default, and `steep`), where the loss has fallen.

    The first tenth of the points and the last five are left out, as fastai does. The loss has fallen where the mean of
    some tenth of the steps lies below that of the first third, in which rates are too small to matter, by more than
    four standard errors of the difference; fastai suggests a rate of a flat curve too.

    Args:
        rates: Of each step, rising; there may be more of them than of losses.
        losses: Of each step, as measured.
        smoothed: The same, smoothed and finite; of a test that ended with a loss that is not finite one less.
    """
    first = len(smoothed) // 10
    end = len(smoothed) - LAST_LEFT_OUT
    if end - first < FEWEST:
        return RateSuggestion(None, None, f"there are {max(0, end - first)} points, and {FEWEST} are needed")
    kept_rates, kept_losses = np.asarray(rates[first:end], dtype=np.float64), np.asarray(smoothed[first:end])
    if not _has_fallen(np.asarray(losses[: len(smoothed)], dtype=np.float64)):
        return RateSuggestion(None, None, "the loss did not fall at any rate")
    return RateSuggestion(valley(kept_rates, kept_losses), steepest(kept_rates, kept_losses))


def _has_fallen(losses: NDArray[np.float64]) -> bool:
    """Whether some tenth of the losses (5 at least), after the first third, is lower on average than noise explains."""
    first, width = len(losses) // 3, max(5, len(losses) // 10)
    beginning = losses[:first]
    means = np.convolve(losses[first:], np.full(width, 1 / width), mode="valid")
    error = float(beginning.std(ddof=1)) * math.sqrt(1 / width + 1 / first)
    return bool(means.min() < beginning.mean() - 4 * error)


def valley(rates: NDArray[np.float64], smoothed: NDArray[np.float64]) -> float:
    """The rate in the middle of the longest fall of a smoothed loss.

    The longest falling subsequence (its first, of equally long ones) ends at the point e and has n points; the
    rate is that of the point e - n + n/3 + n/6, both rounded down. fastai 2.8, callback/schedule.py, `valley`.

    Args:
        rates: (N,), rising.
        smoothed: (N,), the loss at each.
    """
    longest = np.ones(len(smoothed), dtype=np.int64)  # falling subsequence that ends here
    for place in range(1, len(smoothed)):
        higher = smoothed[:place] > smoothed[place]
        if higher.any():
            longest[place] = longest[:place][higher].max() + 1
    end = int(longest.argmax())
    start, third = end - int(longest[end]), int(longest[end]) / 3
    return float(rates[start + int(third) + int(third / 2)])


def steepest(rates: NDArray[np.float64], smoothed: NDArray[np.float64]) -> float:
    """The rate from which a smoothed loss falls fastest, over the logarithm of the rate.

    fastai 2.8, callback/schedule.py, `steep`.

    Args:
        rates: (N,), rising.
        smoothed: (N,), the loss at each.
    """
    return float(rates[int(np.argmin(np.diff(smoothed) / np.diff(np.log(rates))))])

"""Calibration: reliability table and expected calibration error."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

BINS = 15


class Bin(NamedTuple):
    """The images whose predicted class has a probability from `lowest` up to, without it, `highest`.

    The last has those of probability 1, too. The means are nan where there is no image.
    """

    lowest: float
    highest: float
    images: int
    probability: float  # the mean of what the model said
    accuracy: float  # the share of them that are right


def reliability(probability: NDArray[Any], right: NDArray[np.bool_]) -> list[Bin]:
    """15 bins of equal width; probability (N,) of the predicted class, right (N,): whether it is the true one."""
    at = np.minimum(_places(probability), BINS - 1)
    edges = np.linspace(0, 1, BINS + 1).tolist()
    bins = []
    for number in range(BINS):
        inside = at == number
        count = int(inside.sum())
        mean_probability, accuracy = (
            float(value[inside].mean(dtype=np.float64)) if count else np.nan for value in (probability, right)
        )
        bins.append(Bin(edges[number], edges[number + 1], count, mean_probability, accuracy))
    return bins


def expected_calibration_error(probability: NDArray[Any], right: NDArray[np.bool_]) -> float:
    """The mean over images of |accuracy - mean probability| of the bin that they lie in; arguments as of reliability.

    As torchmetrics has it, where those of probability 1 are a bin of their own: so it can be slightly more than the
    table of reliability gives. Guo et al. 2017, On Calibration of Modern Neural Networks (arXiv:1706.04599), eq. 3.
    """
    gaps = np.zeros(BINS + 1)
    np.add.at(gaps, _places(probability), right - probability.astype(np.float64))
    return float(np.abs(gaps).sum() / max(len(probability), 1))


def _places(probability: NDArray[Any]) -> NDArray[np.int64]:
    """Which bin each lies in; of 1, the one after the last."""
    edges = np.linspace(0, 1, BINS + 1).astype(probability.dtype)
    return np.searchsorted(edges, probability, side="right") - 1

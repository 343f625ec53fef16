"""Scores of a candidate on the target's training images, on all of them or on a stratified sample."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from headstart import scores

ScoreName = Literal[
    "logistic", "neighbours", "logme", "h_score", "plain_h_score", "leep", "nce", "n_leep", "gbc", "parc",
    "transrate", "sfda", "etran",
]  # fmt: skip
ALL: tuple[ScoreName, ...] = get_args(ScoreName)
ETRAN = ("etran_energy", "etran_classification")  # whose sum over a set of candidates is etran
SAMPLED = ("logistic", "neighbours", "n_leep", "parc", "sfda")  # that need all images in memory, or pairs of them
OF_SOFTMAX = ("leep", "nce")  # that read the source's own classes
ACCURACIES = ("logistic", "neighbours")  # shares of images, which chance is compared with

Features = NDArray[np.float32]
Labels = NDArray[np.int64]
Softmax = NDArray[np.float64]


@dataclass(frozen=True)
class ScoreValue:
    """A score of one candidate.

    Attributes:
        value: More is better.
        images: That it was computed on.
        seconds: That it took.
    """

    value: float
    images: int
    seconds: float


def parts_of(names: Sequence[str]) -> list[str]:
    """The names of the functions behind scores: etran is made of two.

    Args:
        names: Of scores.
    """
    return [part for name in names for part in (ETRAN if name == "etran" else (name,))]


def score_values(
    parts: Sequence[str],
    features: Features,
    labels: Labels,
    softmax: Softmax | None,
    *,
    neighbours: int,
    sample: NDArray[np.int64] | None = None,
) -> tuple[dict[str, ScoreValue], dict[str, str]]:
    """The value of each score that can be had, and why another one cannot.

    Args:
        parts: As parts_of gives them.
        features: (N, D).
        labels: (N,).
        softmax: The source's own, (N, Z); None where it has none, and then OF_SOFTMAX are left out.
        neighbours: k of the neighbours.
        sample: Positions of the images that SAMPLED are computed on; None for all.
    """
    functions = _functions(neighbours)
    found, missing = {}, {}
    for part in parts:
        if part in OF_SOFTMAX and softmax is None:
            continue
        read = softmax if part in OF_SOFTMAX and softmax is not None else features
        chosen = sample if part in SAMPLED else None
        begun = time.perf_counter()
        given, targets = (read, labels) if chosen is None else (read[chosen], labels[chosen])
        try:
            value = functions[part](given, targets)
        except ValueError as error:  # features that are not finite, a class with one image
            missing["etran" if part in ETRAN else part] = str(error)
        else:
            found[part] = ScoreValue(value, len(targets), time.perf_counter() - begun)
    return found, missing


def etran_of(energy: NDArray[np.float64], classification: NDArray[np.float64]) -> NDArray[np.float64]:
    """ETran of a set of candidates: its two parts, each scaled to 0 to 1 over the candidates, and added.

    Gholami et al. 2023, ETran: Energy-Based Transferability Estimation (ICCV), without the part of regression.

    Args:
        energy: (..., candidates).
        classification: The same.
    """
    return np.asarray(_scaled(energy) + _scaled(classification))


def _scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = (edge(values, axis=-1, keepdims=True) for edge in (np.nanmin, np.nanmax))
    width = high - low
    return np.asarray((values - low) / np.where(width > 0, width, 1.0))


def _functions(neighbours: int) -> Mapping[str, Callable[..., float]]:
    return {
        "logistic": scores.logistic_accuracy,
        "neighbours": partial(scores.neighbour_accuracy, k=neighbours),
        "logme": scores.logme,
        "h_score": scores.regularised_h_score,
        "plain_h_score": scores.h_score,
        "leep": scores.leep,
        "nce": scores.nce,
        "n_leep": scores.n_leep,
        "gbc": scores.gbc,
        "parc": scores.parc,
        "transrate": scores.transrate,
        "sfda": scores.sfda,
        "etran_energy": lambda features, _: scores.etran_energy(features),
        "etran_classification": scores.etran_classification,
    }

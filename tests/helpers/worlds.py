"""Simulated worlds whose truth is known: learning curves, answers of images, sources of variance."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Floats = NDArray[np.float64]

SHAPES: dict[str, Callable[[Floats], Floats]] = {  # share of the rise that is done at u = rate * time
    "exponential": lambda u: 1 - np.exp(-u),
    "power law": lambda u: 1 - 1 / (1 + u),
    "two exponentials": lambda u: 1 - 0.6 * np.exp(-2 * u) - 0.4 * np.exp(-0.35 * u),
    "sigmoid": lambda u: (ndtr(u - 3) - ndtr(-3.0)) / (1 - ndtr(-3.0)),
}


def schedule(name: str, epochs: int) -> Floats:
    """Sum of the learning rates over their peak at the end of each epoch, (epochs + 1,), from 0."""
    step = (np.arange(epochs * 50) + 0.5) / 50
    if name == "constant":
        rate = np.ones_like(step)
    elif name == "step":
        rate = np.where(step < epochs / 2, 1.0, 0.1)
    else:
        rate = 0.5 + 0.5 * np.cos(math.pi * step / epochs)
        if name == "warm-up":
            rate = rate * np.minimum(1, step / 5)
    sums = np.concatenate([[0.0], np.cumsum(rate) / 50])[::50]
    return sums / rate.max()


@dataclass(frozen=True)
class Learning:
    """The curves of two arms in a world; transfer is the second."""

    shape: str = "exponential"
    rate: float = 0.25  # an epoch at the peak learning rate
    start: float = 0.3
    ceiling: float = 0.93
    ahead: float = 0.0  # epochs that transfer is ahead of scratch on the same curve
    wait: float = 0.0  # epochs that scratch stays at its start
    factor: float = 1.0  # transfer's rate over scratch's
    sd_rate: float = 0.1  # of ln rate, from run to run
    sd_level: float = 0.01  # of start and ceiling
    schedule: str = "constant"
    epochs: int = 30

    def drawn(self, rng: np.random.Generator, arms: int, seeds: int) -> tuple[Floats, Floats]:
        """Time (E,) and the population accuracies (arms, seeds, E); the arms after the first are transfer."""
        time = schedule(self.schedule, self.epochs)
        rate = self.rate * np.exp(self.sd_rate * rng.standard_normal((arms, seeds, 1)))
        rate[1:] *= self.factor
        moved = np.full((arms, 1, 1), self.ahead)
        moved[0] = -self.wait
        ends = np.array([self.start, self.ceiling]) + self.sd_level * rng.standard_normal((arms, seeds, 2))
        done = SHAPES[self.shape](np.maximum(0, time + moved) * rate)
        return time, np.clip(ends[..., :1] + (ends[..., 1:] - ends[..., :1]) * done, 0.0, 0.999)


def answers(
    rng: np.random.Generator,
    level: Floats,
    images: int,
    *,
    interaction: float,
    chance: float = 0.5,
    again: float = 0.0,
) -> NDArray[np.bool_]:
    """Right or wrong of images that all arms and seeds share, (arms, seeds, ..., images).

    level (arms, seeds, ...): the accuracy of each on the population. An image is right where its difficulty (sd 1),
    its interaction with the arm, and chance by run (`chance`) and by evaluation (`again`) together lie below the
    level's quantile of their sum: so each arm's accuracy on the population is its level, whatever these images are.
    """
    arms, seeds, *more = level.shape
    ones = [1] * len(more)
    z = rng.standard_normal((1, 1, *ones, images))
    z = z + interaction * rng.standard_normal((arms, 1, *ones, images))
    z = z + chance * rng.standard_normal((arms, seeds, *ones, images))
    if again:
        z = z + again * rng.standard_normal((*level.shape, images), dtype=np.float32)
    total = math.sqrt(1 + interaction**2 + chance**2 + again**2)
    return np.asarray(z < total * ndtri(level)[..., None])


def linear_models(
    rng: np.random.Generator, studies: int, images: int, folds: int, repeats: int, features: tuple[int, int]
) -> tuple[Floats, float]:
    """Differences in accuracy of two linear models over folds of one data set, (studies, repeats * folds); the truth.

    Each fold trains least squares on the other folds, with the first `features[0]` and with `features[1]` inputs; each
    repeat divides the same images anew. The truth is the mean difference of the same models, trained on as many
    fresh images, on 20,000 others.
    """
    train = images - images // folds
    width = max(features)
    weight = 1 / np.arange(1, width + 1)

    def data(count: int) -> tuple[Floats, Floats]:
        x = rng.standard_normal((count, width))
        return x, np.sign(x @ weight + rng.standard_normal(count))

    def right(x: Floats, y: Floats, test_x: Floats, test_y: Floats, used: int) -> float:
        gram = x[:, :used].T @ x[:, :used] + 1e-3 * np.eye(used)
        fit = np.linalg.solve(gram, x[:, :used].T @ y)
        return float(np.mean(np.sign(test_x[:, :used] @ fit) == test_y))

    far = data(20_000)
    truth = []
    for _ in range(400):
        x, y = data(train)
        truth.append(right(x, y, *far, features[1]) - right(x, y, *far, features[0]))
    differences = np.empty((studies, repeats * folds))
    for study in range(studies):
        x, y = data(images)
        for replicate in range(repeats * folds):
            if replicate % folds == 0:
                place = rng.permutation(images) % folds
            out = place == replicate % folds
            fit_on, seen_on = (x[~out], y[~out]), (x[out], y[out])
            differences[study, replicate] = right(*fit_on, *seen_on, features[1]) - right(
                *fit_on, *seen_on, features[0]
            )
    return differences, float(np.mean(truth))

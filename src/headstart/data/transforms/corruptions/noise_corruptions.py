"""Noise corruptions of ImageNet-C: gaussian, shot, impulse and speckle noise."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Image = NDArray[np.float64]  # (H, W, channels), values in [0, 1]

GAUSSIAN = (0.08, 0.12, 0.18, 0.26, 0.38)  # standard deviation, by severity
SHOT = (60, 25, 12, 5, 3)  # photons of white
IMPULSE = (0.03, 0.06, 0.09, 0.17, 0.27)  # share of values that become black or white
SPECKLE = (0.15, 0.2, 0.35, 0.45, 0.6)  # standard deviation, as a share of the value


def gaussian_noise(image: Image, severity: int, rng: Generator) -> Image:
    """Each value plus a normal number of mean 0; image (H, W, channels) in [0, 1] -> the same."""
    return np.clip(image + rng.normal(scale=GAUSSIAN[severity - 1], size=image.shape), 0, 1)


def shot_noise(image: Image, severity: int, rng: Generator) -> Image:
    """Photons counted in place of each value: a Poisson number over that of white."""
    photons = SHOT[severity - 1]
    return np.clip(rng.poisson(image * photons) / photons, 0, 1)


def impulse_noise(image: Image, severity: int, rng: Generator) -> Image:
    """A share of the values, each channel by itself, becomes black or white with equal odds."""
    hit, white = rng.random(image.shape) < IMPULSE[severity - 1], rng.random(image.shape) > 0.5
    return np.where(hit, white.astype(np.float64), image)


def speckle_noise(image: Image, severity: int, rng: Generator) -> Image:
    """Each value plus itself times a normal number of mean 0."""
    return np.clip(image + image * rng.normal(scale=SPECKLE[severity - 1], size=image.shape), 0, 1)

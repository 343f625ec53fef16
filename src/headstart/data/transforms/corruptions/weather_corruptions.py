"""Weather corruptions of ImageNet-C: snow, fog and brightness.

Snow and fog are drawn at 224 pixels a side and resized to the image, so that they are as large in it as in ImageNet-C.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from headstart.data.decoding.pixel_conversion import LUMA
from headstart.data.transforms.corruptions.blur_corruptions import SIDE, along_line, enlarged_centre
from headstart.data.transforms.corruptions.noise_corruptions import Image
from headstart.data.transforms.corruptions.resized_layers import resized_layer

# by severity: mean and standard deviation of the flakes, their enlargement, the least that is one, radius and standard
# deviation of their motion, the image's own share
SNOW = (
    (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
    (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
    (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
    (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
    (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
)
FOG = ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4))  # strength, decay of the detail
BRIGHTNESS = (0.1, 0.2, 0.3, 0.4, 0.5)  # more of the largest channel
PLASMA = 256  # side of the fog's map
WIBBLE = 100.0  # its first randomness


def brightness(image: Image, severity: int, rng: Generator) -> Image:  # noqa: ARG001 - as others, which draw numbers
    """The value of HSV raised, hue and saturation kept; image (H, W, channels) in [0, 1] -> the same."""
    value = image.max(axis=2, keepdims=True)
    raised = np.minimum(value + BRIGHTNESS[severity - 1], 1)
    brighter: Image = np.where(value > 0, image * (raised / np.where(value > 0, value, 1)), raised)
    return brighter


def fog(image: Image, severity: int, rng: Generator) -> Image:
    """A plasma fractal added, and the sum scaled to the image's own maximum."""
    strength, decay = FOG[severity - 1]
    layer = resized_layer(plasma(PLASMA, decay, rng)[:SIDE, :SIDE], image.shape[:2])[:, :, None]
    most = image.max()
    foggy: Image = np.clip((image + strength * layer) * most / (most + strength), 0, 1)
    return foggy


def snow(image: Image, severity: int, rng: Generator) -> Image:
    """Flakes that fall, and a scene that is whiter for them."""
    mean, spread, larger, least, radius, sigma, own = SNOW[severity - 1]
    flakes = enlarged_centre(rng.normal(mean, spread, (SIDE, SIDE, 1)), larger)
    flakes = np.round(np.clip(np.where(flakes < least, 0, flakes), 0, 1) * 255) / 255
    flakes = along_line(flakes, radius, sigma, math.radians(rng.uniform(-135, -45)))
    layer = resized_layer(flakes[:, :, 0], image.shape[:2])[:, :, None]
    grey = image @ np.array(LUMA)[:, None] if image.shape[2] == 3 else image
    whiter = own * image + (1 - own) * np.maximum(image, grey * 1.5 + 0.5)
    return np.clip(whiter + layer + np.rot90(layer, 2), 0, 1)


def plasma(side: int, decay: float, rng: Generator) -> NDArray[np.float64]:
    """A fractal by the diamond-square algorithm (side, side) that goes on at its edges, from 0 to 1.

    Args:
        side: A power of two.
        decay: How much less random each finer step is.
        rng: Draws the numbers.
    """
    heights = np.zeros((side, side))
    step, wibble = side, WIBBLE

    def mean(total: NDArray[np.float64]) -> NDArray[np.float64]:
        return total / 4 + wibble * rng.uniform(-wibble, wibble, total.shape)

    while step >= 2:
        half = step // 2
        corner = heights[::step, ::step]
        pairs = corner + np.roll(corner, -1, axis=0)
        heights[half::step, half::step] = mean(pairs + np.roll(pairs, -1, axis=1))
        centre, corner = heights[half::step, half::step], heights[::step, ::step]
        heights[::step, half::step] = mean(centre + np.roll(centre, 1, axis=0) + corner + np.roll(corner, -1, axis=1))
        heights[half::step, ::step] = mean(centre + np.roll(centre, 1, axis=1) + corner + np.roll(corner, -1, axis=0))
        step, wibble = half, wibble / decay
    heights -= heights.min()
    shares: NDArray[np.float64] = heights / heights.max()
    return shares

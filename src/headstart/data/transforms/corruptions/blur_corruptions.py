"""Blur corruptions of ImageNet-C: defocus, motion, zoom and gaussian blur.

Lengths in pixels are those of images of 224 pixels a side; at another side they are scaled by side / 224.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom
from scipy.signal import fftconvolve

from headstart.data.transforms.corruptions.noise_corruptions import Image

SIDE = 224  # pixels, of the images that the constants are for
DEFOCUS = ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))  # radius of the disk, blur of its edge; by severity
MOTION = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))  # radius, standard deviation
ZOOM = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))  # the factor's end (not reached), step
GAUSSIAN_BLUR = (1, 2, 3, 4, 6)  # standard deviation


def scale_of(image: Image) -> float:
    """The shorter side over 224."""
    return float(min(image.shape[:2]) / SIDE)


def gaussian_blur(image: Image, severity: int, rng: Generator) -> Image:  # noqa: ARG001 - as others, which draw numbers
    """A Gaussian blur; image (H, W, channels) in [0, 1] -> the same."""
    sigma = GAUSSIAN_BLUR[severity - 1] * scale_of(image)
    blurred: Image = gaussian_filter(image, (sigma, sigma, 0), mode="nearest")
    return np.clip(blurred, 0, 1)


def defocus_blur(image: Image, severity: int, rng: Generator) -> Image:  # noqa: ARG001
    """The mean over a disk, as of a lens that is out of focus; the image is mirrored at its edges."""
    radius, edge = DEFOCUS[severity - 1]
    kernel = disk(radius * scale_of(image), edge, taps=1 if radius <= 8 else 2)
    reach = [min(kernel.shape[0] // 2, side - 1) for side in image.shape[:2]]  # no mirror is wider than the image
    middle = kernel.shape[0] // 2
    kernel = kernel[middle - reach[0] : middle + reach[0] + 1, middle - reach[1] : middle + reach[1] + 1]
    wide = np.pad(image, ((reach[0],) * 2, (reach[1],) * 2, (0, 0)), mode="reflect")
    blurred: Image = fftconvolve(wide, (kernel / kernel.sum())[:, :, None], mode="valid", axes=(0, 1))
    return np.clip(blurred, 0, 1)


def disk(radius: float, edge: float, *, taps: int) -> NDArray[np.float64]:
    """Weights (K, K), K odd, that are equal within the radius, their edge blurred; they sum to 1.

    Args:
        radius: In pixels.
        edge: Standard deviation of the edge's Gaussian blur, in pixels.
        taps: Pixels on each side that this blur takes.
    """
    reach = math.ceil(radius) + taps
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    inside = (rows**2 + columns**2 <= radius**2).astype(np.float64)
    blurred = gaussian_filter(inside, edge, mode="constant", radius=taps)
    weights: NDArray[np.float64] = blurred / blurred.sum()
    return weights


def motion_blur(image: Image, severity: int, rng: Generator) -> Image:
    """A mean along a line of random direction, -45 to 45 degrees from the horizontal."""
    radius, sigma = MOTION[severity - 1]
    scale = scale_of(image)
    return np.clip(along_line(image, radius * scale, sigma * scale, math.radians(rng.uniform(-45, 45))), 0, 1)


def along_line(image: Image, radius: float, sigma: float, angle: float) -> Image:
    """The mean over the pixels that lie in one direction, weighted by half a Gaussian; edges go on as they end.

    As ImageMagick's MotionBlurImage, which ImageNet-C calls by Wand.

    Args:
        image: (H, W, channels).
        radius: The line has 2 * ceil(radius) + 1 pixels.
        sigma: Standard deviation of the weights, in pixels.
        angle: In radians, from the horizontal downwards.
    """
    distance = np.arange(2 * math.ceil(radius) + 1)
    weight = np.exp(-(distance**2) / (2 * sigma**2))
    weight /= weight.sum()
    down, right = (np.ceil(distance * share - 0.5).astype(int) for share in (math.sin(angle), math.cos(angle)))
    height, width = image.shape[:2]
    blurred = np.zeros_like(image)
    for share, below, beside in zip(weight, down, right, strict=True):
        rows = np.clip(np.arange(height) + below, 0, height - 1)
        columns = np.clip(np.arange(width) + beside, 0, width - 1)
        blurred += share * image[rows][:, columns]
    return blurred


def zoom_blur(image: Image, severity: int, rng: Generator) -> Image:  # noqa: ARG001
    """The mean of the image and of its enlargements, as of a zoom during the exposure."""
    end, step = ZOOM[severity - 1]
    factors = np.arange(1, end, step)
    return np.clip((image + sum(enlarged_centre(image, factor) for factor in factors)) / (len(factors) + 1), 0, 1)


def enlarged_centre(image: Image, factor: float) -> Image:
    """The centre of the image, enlarged to its size; image (H, W, channels)."""
    sides = image.shape[:2]
    cut = [math.ceil(side / factor) for side in sides]
    first = [(side - part) // 2 for side, part in zip(sides, cut, strict=True)]
    centre = image[first[0] : first[0] + cut[0], first[1] : first[1] + cut[1]]
    larger = zoom(centre, (factor, factor, 1), order=1)
    spare = [(have - side) // 2 for have, side in zip(larger.shape[:2], sides, strict=True)]
    enlarged: Image = larger[spare[0] : spare[0] + sides[0], spare[1] : spare[1] + sides[1]]
    return enlarged

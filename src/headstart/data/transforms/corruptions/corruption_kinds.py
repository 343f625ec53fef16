"""Corruptions by name, as ImageNet-C has them, each image with random numbers of its own.

Hendrycks & Dietterich 2019, Benchmarking Neural Network Robustness to Common Corruptions and Perturbations
(arXiv:1903.12261): the constants of its code for ImageNet. Of its 15 kinds, glass blur and frost are not there: the
first is a loop over pixels, the second needs photos. speckle_noise, gaussian_blur and saturate are extra ones of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Literal, get_args

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from headstart.data.transforms.corruptions.blur_corruptions import defocus_blur, gaussian_blur, motion_blur, zoom_blur
from headstart.data.transforms.corruptions.digital_corruptions import (
    contrast,
    elastic_transform,
    jpeg_compression,
    pixelate,
    saturate,
)
from headstart.data.transforms.corruptions.noise_corruptions import (
    Image,
    gaussian_noise,
    impulse_noise,
    shot_noise,
    speckle_noise,
)
from headstart.data.transforms.corruptions.weather_corruptions import brightness, fog, snow

Kind = Literal[
    "gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "motion_blur", "zoom_blur", "snow", "fog",
    "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression",
    "speckle_noise", "gaussian_blur", "saturate",
]  # fmt: skip
KINDS: Mapping[str, Callable[[Image, int, Generator], Image]] = {
    function.__name__: function
    for function in (
        gaussian_noise, shot_noise, impulse_noise, defocus_blur, motion_blur, zoom_blur, snow, fog, brightness,
        contrast, elastic_transform, pixelate, jpeg_compression, speckle_noise, gaussian_blur, saturate,
    )
}  # fmt: skip
EXTRA = ("speckle_noise", "gaussian_blur", "saturate")  # not among the 15 that the benchmark's mean is of
ALL = tuple(kind for kind in get_args(Kind) if kind not in EXTRA)  # what `all` means
SEVERITIES = (1, 2, 3, 4, 5)


def corrupted(image: NDArray[np.uint8], kind: str, severity: int) -> NDArray[np.uint8]:
    """An image after a corruption, always the same for the same image.

    Args:
        image: (H, W) grey or (H, W, 3) RGB.
        kind: One of KINDS.
        severity: 1 to 5.

    Raises:
        UserError: The kind needs colour, and the image is grey.
    """
    values = np.atleast_3d(image) / 255
    changed = KINDS[kind](values, severity, image_rng(image, kind))
    levels: NDArray[np.uint8] = np.round(np.clip(changed, 0, 1) * 255).astype(np.uint8).reshape(image.shape)
    return levels


def image_rng(image: NDArray[np.uint8], kind: str) -> Generator:
    """The random numbers of an image: a function of its pixels and of the kind, not of the severity."""
    digest = blake2b(repr(image.shape).encode() + image.tobytes() + kind.encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))

"""The operations of AutoAugment's family, and what each does at a strength."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from math import atan, degrees
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

LEVELS = 31  # strengths that each operation has, from none to all: torchvision's num_magnitude_bins
Space = Mapping[str, Sequence[float]]  # operation -> its strengths


class DrawnOperation(NamedTuple):
    """One operation for one image."""

    operation: str  # one of NAMES
    level: int  # of its strengths, 0 to LEVELS - 1
    negative: bool  # to the other side, where it has two


def _sheared(image: Tensor, *, x: float = 0.0, y: float = 0.0) -> Tensor:
    shear = [degrees(atan(x)), degrees(atan(y))]
    bilinear = InterpolationMode.BILINEAR
    sheared: Tensor = F.affine(
        image, angle=0.0, translate=[0, 0], scale=1.0, shear=shear, center=[0, 0], interpolation=bilinear
    )
    return sheared


def _shifted(image: Tensor, *, x: float = 0.0, y: float = 0.0) -> Tensor:
    shifted: Tensor = F.affine(image, angle=0.0, translate=[int(x), int(y)], scale=1.0, shear=[0.0, 0.0])
    return shifted


SIDED: Mapping[str, Callable[[Tensor, float], Tensor]] = {  # of which the strength may be negative
    "shear_x": lambda image, strength: _sheared(image, x=strength),
    "shear_y": lambda image, strength: _sheared(image, y=strength),
    "translate_x": lambda image, strength: _shifted(image, x=strength),
    "translate_y": lambda image, strength: _shifted(image, y=strength),
    "rotate": lambda image, strength: F.rotate(image, strength, InterpolationMode.BILINEAR),
    "brightness": lambda image, strength: F.adjust_brightness(image, 1 + strength),
    "color": lambda image, strength: F.adjust_saturation(image, 1 + strength),
    "contrast": lambda image, strength: F.adjust_contrast(image, 1 + strength),
    "sharpness": lambda image, strength: F.adjust_sharpness(image, 1 + strength),
}
OPERATIONS: Mapping[str, Callable[[Tensor, float], Tensor]] = {
    **SIDED,
    "identity": lambda image, _: image,
    "posterize": lambda image, strength: F.posterize(image, int(strength)),
    "solarize": lambda image, strength: F.solarize(image, 255 * strength),
    "autocontrast": lambda image, _: F.autocontrast(image),
    "equalize": lambda image, _: F.equalize(image),
}
NAMES = tuple(OPERATIONS)


@cache
def space(*, shear: float, translate: float, rotate: float, enhance: float, dropped_bits: int) -> Space:
    """The strengths of each operation, the last one being the greatest.

    Up to shear (pixels a pixel), translate (pixels), rotate (degrees), enhance (times 1 plus or minus that), and so
    many of a pixel's 8 bits dropped. posterize's are the bits that stay, solarize's the share of white from which on
    values are inverted: at the least it inverts white alone. The last two operations and identity have no strength.
    """
    # in float32, as torchvision has them: where a value lies on a threshold, the last digit decides
    ranges = {
        "shear_x": (0, shear), "shear_y": (0, shear), "translate_x": (0, translate), "translate_y": (0, translate),
        "rotate": (0, rotate), "brightness": (0, enhance), "color": (0, enhance), "contrast": (0, enhance),
        "sharpness": (0, enhance), "solarize": (1, 0), "identity": (0, 0), "autocontrast": (0, 0), "equalize": (0, 0),
    }  # fmt: skip
    strengths: dict[str, Sequence[float]] = {
        name: torch.linspace(*ends, LEVELS).tolist() for name, ends in ranges.items()
    }
    bits = 8 - torch.arange(LEVELS) / ((LEVELS - 1) / dropped_bits)
    return strengths | {"posterize": bits.round().tolist()}


def operated(image: Tensor, drawn: Sequence[Sequence[DrawnOperation]], strengths: Space) -> Tensor:
    """Each image after its own operations, one after the other.

    image (B, channels, H, W), values in [0, 1] -> the same; drawn: those of each image. They work on 256 levels, as in
    the papers, to which values are rounded. Bilinear, black where nothing was.
    """
    images = []
    for plain, operations in zip((image * 255).round().to(torch.uint8), drawn, strict=True):
        changed = plain
        for operation, level, negative in operations:
            strength = strengths[operation][level]
            changed = OPERATIONS[operation](changed, -strength if negative and operation in SIDED else strength)
        images.append(changed)
    return torch.stack(images).to(image.dtype) / 255

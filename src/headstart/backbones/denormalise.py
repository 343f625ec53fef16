"""Denormalised images: pixels between 0 and 1, or as uint8."""

from __future__ import annotations

import torch
from torch import Tensor

from headstart.types import Pixels


def denormalised(image: Tensor, pixels: Pixels) -> Tensor:
    """Images (N, channels, H, W) as batches have them, uint8 or normalised -> float32 with values in [0, 1]."""
    if image.dtype == torch.uint8:
        return image / 255
    std, mean = (torch.tensor(values)[:, None, None] for values in (pixels.std, pixels.mean))
    return (image * std + mean).clamp(0, 1)


def eight_bit(image: Tensor, pixels: Pixels) -> Tensor:
    """The same as uint8."""
    return image if image.dtype == torch.uint8 else (denormalised(image, pixels) * 255).round().to(torch.uint8)

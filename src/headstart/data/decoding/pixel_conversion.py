"""Conversion of stored images to the pixels that a backbone expects."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from headstart.types import Pixels

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601: how bright red, green and blue look


def prepared(stored: Tensor, pixels: Pixels) -> Tensor:
    """Stored images as they travel to the backbone: uint8 where nothing but its normalisation is left to do.

    stored (N, H, W) grey or (N, H, W, 3) RGB, uint8 -> (N, channels, size, size), uint8, or float32 and normalised.
    """
    same_channels = stored.ndim == 3 or pixels.channels == 3
    if stored.shape[1:3] != (pixels.size, pixels.size) or not same_channels:
        return normalised(stored, pixels)
    return channels_first(stored).expand(-1, pixels.channels, -1, -1)


def normalised(stored: Tensor, pixels: Pixels) -> Tensor:
    """Values in [0, 1], resized without aliasing, less the mean, over the standard deviation of each channel.

    stored (N, H, W) grey or (N, H, W, 3) RGB, uint8 -> (N, channels, size, size), float32.
    """
    return standardised(resized(stored, pixels), pixels)


def resized(stored: Tensor, pixels: Pixels) -> Tensor:
    """Values in [0, 1], resized without aliasing.

    stored (N, H, W) grey or (N, H, W, 3) RGB, uint8 -> (N, channels, size, size), float32.
    Grey becomes RGB by repetition, RGB becomes grey by BT.601's luma.
    """
    image = channels_first(stored).to(torch.float32) / 255
    if image.shape[1] == 3 and pixels.channels == 1:
        image = (image * torch.tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
    if image.shape[2:] != (pixels.size, pixels.size):
        size = (pixels.size, pixels.size)
        image = interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)
    return image.expand(-1, pixels.channels, -1, -1)  # after the resize: one channel to resize instead of three


def standardised(image: Tensor, pixels: Pixels) -> Tensor:
    """Less the mean, over the standard deviation of each channel; (N, channels, H, W) -> the same."""
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (pixels.mean, pixels.std))
    return (image - mean) / std


def channels_first(stored: Tensor) -> Tensor:
    """The same memory as (N, channels, H, W): RGB is then channels_last, as convolutions want it."""
    return stored.unsqueeze(1) if stored.ndim == 3 else stored.permute(0, 3, 1, 2)

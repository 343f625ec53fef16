"""Pretrained weights: their tensors, and the pixels that they were evaluated with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from headstart.backbones.weights.preprocessing.preprocessing_values import resize_of
from headstart.types import Pixels


@dataclass(frozen=True)
class Pretrained:
    """The tensors of a library's pretrained weights.

    Args:
        name: Of the weights.
        url: Their address.
        file: Their file on this machine.
        tensors: By the names of the network that the backbone comes from, for images of its size and channels.
        made_for: The pixels that the weights were evaluated with.
        advice: How a backbone gets these pixels, where they cannot be set one by one.
        but_for: What of their evaluation no pixels say, in words; empty where there is nothing.
    """

    name: str
    url: str
    file: Path
    tensors: Mapping[str, Tensor]
    made_for: Pixels
    advice: str = ""
    but_for: str = ""


def differences(pixels: Pixels, made_for: Pixels) -> list[str]:
    """What of a backbone's pixels is not what the weights were evaluated with: the two values, and what mends it."""
    lines = []
    if pixels.size != made_for.size:
        lines.append(f"size {pixels.size} instead of {made_for.size} (backbone.size={made_for.size})")
    elif (resize := resize_of(pixels)) != (expected := resize_of(made_for)):
        lines.append(f"resize {resize} instead of {expected} (target.resize={expected})")
    if pixels.interpolation != made_for.interpolation:
        lines.append(f"interpolation {pixels.interpolation} instead of {made_for.interpolation}")
    for name, own_values, values in (("mean", pixels.mean, made_for.mean), ("std", pixels.std, made_for.std)):
        if any(abs(a - b) > 1e-3 for a, b in zip(own_values, values, strict=True)):
            lines.append(f"{name} {_shown(own_values)} instead of {_shown(values)}")
    return lines


def _shown(values: tuple[float, ...]) -> str:
    return "/".join(f"{value:.3f}" for value in values)

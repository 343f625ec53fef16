"""Pretrained weights of a library for a backbone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from torch import Tensor

from headstart.types import LARGER, Pixels

HASH = re.compile(r"-([0-9a-f]{8,})\.")  # in the name of a file, the beginning of its SHA-256
LIBRARIES = {  # the module of each has a function `pretrained`, as Library says; imported when it is asked
    "torchvision": "headstart.backbones.weights.torchvision_weights",
    "timm": "headstart.backbones.weights.timm_weights",
}


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
    """

    name: str
    url: str
    file: Path
    tensors: Mapping[str, Tensor]
    made_for: Pixels
    advice: str = ""


class Library(Protocol):
    """What the module of a library has."""

    @staticmethod
    def pretrained(model: str, name: str | None, pixels: Pixels) -> Pretrained:
        """The weights of a model, those that the library thinks best where name is None, for such images.

        Raises UserError where there are none of that name, they cannot be had, or are of another model.
        """


def pretrained(zoo: tuple[str, str], name: str | None, pixels: Pixels) -> Pretrained:
    """Pretrained weights of a library.

    Args:
        zoo: (library, model), as a Backbone has it.
        name: Of the weights; None means the library's default.
        pixels: Of the backbone.

    Raises:
        UserError: There are no such weights, they cannot be downloaded, or they are of another model.
    """
    library, model = zoo
    return cast(Library, import_module(LIBRARIES[library])).pretrained(model, name, pixels)


def differences(pixels: Pixels, made_for: Pixels) -> list[str]:
    """What of a backbone's pixels is not what the weights were evaluated with: the two values, and what mends it."""
    lines = []
    if pixels.size != made_for.size:
        lines.append(f"size {pixels.size} instead of {made_for.size} (backbone.size={made_for.size})")
    elif (resize := _resize(pixels)) != (expected := _resize(made_for)):
        lines.append(f"resize {resize} instead of {expected} (target.resize={expected})")
    if pixels.interpolation != made_for.interpolation:
        lines.append(f"interpolation {pixels.interpolation} instead of {made_for.interpolation}")
    for what, own_values, values in (("mean", pixels.mean, made_for.mean), ("std", pixels.std, made_for.std)):
        if any(abs(a - b) > 1e-3 for a, b in zip(own_values, values, strict=True)):
            lines.append(f"{what} {_shown(own_values)} instead of {_shown(values)}")
    return lines


def _resize(pixels: Pixels) -> int:
    return pixels.resize or round(pixels.size * LARGER)


def _shown(values: tuple[float, ...]) -> str:
    return "/".join(f"{value:.3f}" for value in values)

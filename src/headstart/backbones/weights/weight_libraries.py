"""Libraries that have pretrained weights, by their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from headstart.backbones.weights.pretrained_weights import Pretrained
from headstart.types import Pixels


class WeightLibrary(Protocol):
    """What the module of a library has."""

    def pretrained(self, model: str, name: str | None, pixels: Pixels) -> Pretrained:
        """The weights of a model, those that the library thinks best where name is None, for such images.

        Raises UserError where there are none of that name, they cannot be had, or are of another model.
        """

    def resampled(self, model: str, state: Mapping[str, Tensor], pixels: Pixels) -> dict[str, Tensor]:
        """The tensors of any file under the model's names, for such images."""


def weight_library(name: str) -> WeightLibrary:
    """The module of a library, imported when it is needed.

    Args:
        name: Of the library, as the first of Backbone.model.

    Raises:
        ValueError: There is none of that name.
    """
    if name == "torchvision":
        from headstart.backbones.weights import torchvision_weights

        return torchvision_weights
    if name == "timm":
        from headstart.backbones.weights import timm_weights

        return timm_weights
    raise ValueError(f"the libraries with pretrained weights are torchvision and timm, got {name}")


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
    return weight_library(library).pretrained(model, name, pixels)

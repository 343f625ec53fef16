"""CutMix: a box of a training image shows another one."""

from __future__ import annotations

from math import sqrt
from typing import Annotated, NamedTuple

import torch
from annotated_types import Ge, Interval
from torch import Tensor

from headstart.data.loading.image_seed import ImageRng
from headstart.data.transforms.mix.beta_shares import beta
from headstart.data.transforms.mix.mixing_partner import partner, places


class PastedBox(NamedTuple):
    """Pixels from left to right - 1 and top to bottom - 1."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def area(self) -> int:
        return (self.right - self.left) * (self.bottom - self.top)


class CutMix:
    """In each image of a batch the same box shows what another image of the batch has there.

    The box has the image's proportions, its centre is anywhere, and what lies outside of the image is cut off: the
    label's shares are those of the pixels. Yun et al. 2019, CutMix (arXiv:1905.04899).

    Args:
        alpha: The share that stays is drawn from Beta(alpha, alpha), 1 being uniform; 0 mixes nothing.
        prob: Share of batches that are mixed.
    """

    def __init__(self, *, alpha: Annotated[float, Ge(0)], prob: Annotated[float, Interval(ge=0, le=1)]) -> None:
        self.alpha, self.prob = alpha, prob

    def __call__(self, image: Tensor, share: Tensor, rng: ImageRng) -> tuple[Tensor, Tensor]:
        happens, stays, x, y = rng.uniform(4)[0]
        if happens >= self.prob or self.alpha == 0:
            return image, share
        height, width = image.shape[-2:]
        drawn = box(float(beta(stays, self.alpha)), x=float(x), y=float(y), width=width, height=height)
        return pasted(image, share, box=drawn, places=places(len(image), rng))


def box(stays: float, *, x: float, y: float, width: int, height: int) -> PastedBox:
    """The part of an image that is pasted over, so that about `stays` of it stays.

    Args:
        stays: Share of the image; more of it stays where the box would reach beyond the image.
        x: The box's centre, in [0, 1) of the image.
        y: The same.
        width: Of the image, in pixels.
        height: The same.
    """
    across, down = int(width * sqrt(1 - stays)), int(height * sqrt(1 - stays))
    left, top = int(x * width) - across // 2, int(y * height) - down // 2
    return PastedBox(max(left, 0), max(top, 0), min(left + across, width), min(top + down, height))


def pasted(image: Tensor, share: Tensor, *, box: PastedBox, places: int) -> tuple[Tensor, Tensor]:
    """Each image with the box of the one so many places before it, and the shares of the pixels that are whose."""
    mixed = image.clone()
    mixed[..., box.top : box.bottom, box.left : box.right] = partner(image, places)[
        ..., box.top : box.bottom, box.left : box.right
    ]
    stays = 1 - box.area / (image.shape[-2] * image.shape[-1])
    return mixed, torch.lerp(partner(share, places), share, stays)

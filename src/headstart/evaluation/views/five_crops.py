"""Views: four corners and the centre of a larger image."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge
from torch import Tensor


class FiveCrops:
    """Five views: upper left, upper right, lower left, lower right, centre.

    Krizhevsky et al. 2012, ImageNet Classification with Deep Convolutional Neural Networks, section 4.1, where 224
    pixels are cut from 256.

    Args:
        larger: Side of the square that views are cut from, over the side of a view.
    """

    def __init__(self, *, larger: Annotated[float, Ge(1)]) -> None:
        self.larger = larger

    def __call__(self, image: Tensor, size: int) -> list[Tensor]:
        return five_crops(image, size)


def five_crops(image: Tensor, size: int) -> list[Tensor]:
    """Images (B, channels, H, W) -> five views (B, channels, size, size) in the order of torchvision's FiveCrop."""
    height, width = image.shape[-2:]
    below, right = height - size, width - size
    corners = [(0, 0), (0, right), (below, 0), (below, right), (round(below / 2), round(right / 2))]
    return [image[..., top : top + size, left : left + size] for top, left in corners]

"""Augmentations: random changes of training images that leave their classes as they are."""

from __future__ import annotations

from math import pi
from typing import Annotated, Protocol

import torch
from annotated_types import Interval
from torch import Tensor
from torch.nn.functional import grid_sample

from headstart.data.loading.image_seed import ImageRng


class Augmentation(Protocol):
    """What a data set's `augment` is: any class with this call, one's own too.

    image (B, channels, size, size), float32, values in [0, 1] before mean and std -> the same shape. All
    random numbers come from `rng.uniform(n)`, n numbers in [0, 1) for each image, so that an image depends on
    seed, epoch and its position alone; torch.rand and the like would make a resumed run another one.
    Workers pickle it.
    """

    def __call__(self, image: Tensor, rng: ImageRng) -> Tensor: ...


class RandomAffine:
    """Each image turned, then shifted on each axis.

    Counter-clockwise, to the right and downwards count as positive; bilinear, black where nothing was.

    Args:
        degrees: The largest turn, either way.
        translate: The largest shift, as a share of the image's size.
    """

    def __init__(
        self,
        *,
        degrees: Annotated[float, Interval(ge=0, le=180)],
        translate: Annotated[float, Interval(ge=0, le=1)],
    ) -> None:
        self.degrees = degrees
        self.translate = translate

    def __call__(self, image: Tensor, rng: ImageRng) -> Tensor:
        turn, right, down = (2 * rng.uniform(3) - 1).view(-1, 3, 1, 1).unbind(1)  # (B, 1, 1) in [-1, 1)
        if self.degrees == 0 and self.translate == 0:
            return image  # bilinear sampling would round
        angle = turn * (self.degrees * pi / 180)
        # the image is 2 wide and 2 high, y points down; each new pixel asks where it comes from
        size = image.shape[-1]
        centre = (2 * torch.arange(size, dtype=image.dtype) + 1) / size - 1
        x, y = centre.view(1, 1, -1) - 2 * self.translate * right, centre.view(1, -1, 1) - 2 * self.translate * down
        cos, sin = angle.cos(), angle.sin()
        origin = torch.stack([cos * x - sin * y, sin * x + cos * y], dim=-1)  # (B, size, size, 2)
        return grid_sample(image, origin, mode="bilinear", padding_mode="zeros", align_corners=False)

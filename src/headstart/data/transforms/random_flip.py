"""Random mirroring of training images."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor

from headstart.data.loading.image_seed import ImageRng


class RandomFlip:
    """Each image with left and right exchanged; not for digits, letters or signs.

    Args:
        probability: Of each image.
    """

    def __init__(self, *, probability: Annotated[float, Interval(ge=0, le=1)]) -> None:
        self.probability = probability

    def __call__(self, image: Tensor, rng: ImageRng) -> Tensor:
        mirrored = (rng.uniform(1) < self.probability).view(-1, 1, 1, 1)
        return torch.where(mirrored, image.flip(-1), image)

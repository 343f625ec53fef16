"""RandAugment: a few operations of one strength on each training image."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Interval
from torch import Tensor

from headstart.data.loading.image_seed import ImageRng
from headstart.data.transforms.image_operations import NAMES, DrawnOperation, operated, space


class RandAugment:
    """A few operations an image, one after the other, each as likely as the others, all of one magnitude.

    Cubuk et al. 2020 (arXiv:1909.13719), in the space of torchvision's RandAugment: 14 operations, half of them to the
    other side.

    Args:
        operations: Operations on each image.
        magnitude: Number of a strength (operations.space).
    """

    def __init__(self, *, operations: Annotated[int, Ge(1)], magnitude: Annotated[int, Interval(ge=0, le=30)]) -> None:
        self.operations, self.magnitude = operations, magnitude

    def __call__(self, image: Tensor, rng: ImageRng) -> Tensor:
        numbers = rng.uniform(2 * self.operations).view(-1, self.operations, 2).tolist()
        drawn = [
            [DrawnOperation(NAMES[int(place * len(NAMES))], self.magnitude, side < 0.5) for place, side in draws]
            for draws in numbers
        ]
        shift = 150 / 331 * image.shape[-1]  # AutoAugment's 150 pixels, of the 331 that its images had
        return operated(image, drawn, space(shear=0.3, translate=shift, rotate=30, enhance=0.9, dropped_bits=4))

"""Views: four corners and the centre of a larger image, and their mirror images."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge
from torch import Tensor

from headstart.evaluation.views.five_crops import five_crops


class TenCrops:
    """Ten views: the five crops of the image, and the five crops of its mirror image.

    Krizhevsky et al. 2012, section 4.1.

    Args:
        larger: Side of the square that views are cut from, over the side of a view.
    """

    def __init__(self, *, larger: Annotated[float, Ge(1)]) -> None:
        self.larger = larger

    def __call__(self, image: Tensor, size: int) -> list[Tensor]:
        return [*five_crops(image, size), *five_crops(image.flip(-1), size)]

"""Several augmentations, one after the other."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from headstart.data.loading.image_seed import ImageRng
from headstart.data.transforms.augmentation import Augmentation


class Chain:
    """One augmentation after the other, in the order in which they are named; null leaves a step out.

    Args:
        steps: Name -> augmentation. Each draws its own numbers, so no two steps share random numbers.
    """

    def __init__(self, *, steps: Mapping[str, Augmentation | None]) -> None:
        self.steps = dict(steps)

    def __call__(self, image: Tensor, rng: ImageRng) -> Tensor:
        for step in self.steps.values():
            if step is not None:
                image = step(image, rng)
        return image

"""Several augmentations, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from headstart.data.loading.image_seed import ImageRng
from headstart.data.transforms.augmentation import Augmentation
from headstart.data.transforms.library_transform import as_augmentation


class Chain:
    """One augmentation after the other, in the order in which they are named; null leaves a step out.

    Args:
        steps: Name -> augmentation, or a transform of one image, as those of torchvision.transforms.v2. Each draws its
            own numbers, so no two steps share random numbers.
    """

    def __init__(self, *, steps: Mapping[str, Augmentation | Any | None]) -> None:
        self.steps = {name: as_augmentation(step) for name, step in steps.items()}

    def __call__(self, image: Tensor, rng: ImageRng) -> Tensor:
        for step in self.steps.values():
            if step is not None:
                image = step(image, rng)
        return image


def augmentation_of(augment: Any) -> Augmentation | None:
    """What the setting `augment` makes: one augmentation or transform, or a list of them, one after the other.

    Args:
        augment: What a configuration has made.

    Raises UserError as as_augmentation does.
    """
    if isinstance(augment, Sequence) and not isinstance(augment, str):
        return Chain(steps={str(number): step for number, step in enumerate(augment)})
    return as_augmentation(augment)

"""TrivialAugment: one operation of a random strength on each training image."""

from __future__ import annotations

from torch import Tensor

from headstart.data.loading.image_seed import ImageRng
from headstart.data.transforms.image_operations import LEVELS, NAMES, DrawnOperation, operated, space


class TrivialAugment:
    """One operation an image, of one strength, each as likely as the others: there is nothing to tune.

    Müller & Hutter 2021 (arXiv:2103.10158), in the wide space of torchvision's TrivialAugmentWide: 14 operations of
    31 strengths, half of them to the other side. Shifts go up to 32 pixels, whatever the image's size is.
    """

    def __call__(self, image: Tensor, rng: ImageRng) -> Tensor:
        drawn = [
            [DrawnOperation(NAMES[int(place * len(NAMES))], int(strength * LEVELS), side < 0.5)]
            for place, strength, side in rng.uniform(3).tolist()
        ]
        return operated(image, drawn, space(shear=0.99, translate=32, rotate=135, enhance=0.99, dropped_bits=6))

"""MixUp: weighted means of two training images."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Interval
from torch import Tensor

from headstart.data.loading.image_seed import ImageRng
from headstart.data.transforms.mix.beta_shares import beta
from headstart.data.transforms.mix.mixing_partner import partner, places


class MixUp:
    """Each image and its label is a weighted mean of itself and another one of the batch.

    Of the two weights the larger one is the image's own: pairs are the same ones, and as likely, as if they were drawn.
    Zhang et al. 2018, mixup: Beyond Empirical Risk Minimization (arXiv:1710.09412).

    Args:
        alpha: The weight of a batch is drawn from Beta(alpha, alpha); 0 mixes nothing.
        prob: Share of batches that are mixed.
    """

    def __init__(self, *, alpha: Annotated[float, Ge(0)], prob: Annotated[float, Interval(ge=0, le=1)]) -> None:
        self.alpha, self.prob = alpha, prob

    def __call__(self, image: Tensor, share: Tensor, rng: ImageRng) -> tuple[Tensor, Tensor]:
        happens, weight = rng.uniform(2)[0]
        if happens >= self.prob or self.alpha == 0:
            return image, share
        drawn = float(beta(weight, self.alpha))
        return mixed_up(image, share, weight=max(drawn, 1 - drawn), places=places(len(image), rng))


def mixed_up(image: Tensor, share: Tensor, *, weight: float, places: int) -> tuple[Tensor, Tensor]:
    """weight of each row, the rest of the row so many places before it; of images and shares alike."""
    return torch.lerp(partner(image, places), image, weight), torch.lerp(partner(share, places), share, weight)

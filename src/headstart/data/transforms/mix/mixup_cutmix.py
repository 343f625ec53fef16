"""MixUp or CutMix, one of them drawn for each batch."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Interval
from torch import Tensor

from headstart.data.loading.image_seed import ImageRng
from headstart.data.transforms.mix.cutmix import CutMix
from headstart.data.transforms.mix.mixup import MixUp


class MixUpCutMix:
    """MixUp in some batches, CutMix in others.

    Args:
        mixup_alpha: As MixUp says.
        cutmix_alpha: As CutMix says.
        prob: Share of batches that are mixed.
        switch_prob: Of these, the share that CutMix has.
    """

    def __init__(
        self,
        *,
        mixup_alpha: Annotated[float, Ge(0)],
        cutmix_alpha: Annotated[float, Ge(0)],
        prob: Annotated[float, Interval(ge=0, le=1)],
        switch_prob: Annotated[float, Interval(ge=0, le=1)],
    ) -> None:
        self.mixup, self.cutmix = MixUp(alpha=mixup_alpha, prob=prob), CutMix(alpha=cutmix_alpha, prob=prob)
        self.switch_prob = switch_prob

    def __call__(self, image: Tensor, share: Tensor, rng: ImageRng) -> tuple[Tensor, Tensor]:
        chosen = self.cutmix if float(rng.uniform(1)) < self.switch_prob else self.mixup
        return chosen(image, share, rng)

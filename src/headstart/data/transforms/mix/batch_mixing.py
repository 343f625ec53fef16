"""Mixing of the images of a training batch with each other."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from headstart.data.loading.image_seed import ImageRng
from headstart.types import UserError

MIX_SEED = 2**41  # added to the seed: what is mixed has nothing to do with how an image is augmented


class Mix(Protocol):
    """What `module.mix` is: any class with this call, one's own too.

    image (B, channels, H, W), floats, normalised as the backbone's pixels say, on the device that trains; share
    (B, classes), float32: how much of each image is of which class, rows sum to 1 -> the same shapes, rows sum to 1.
    Random numbers come from `rng.uniform(n)`: n numbers (1, n) in [0, 1) for the whole batch; torch.rand and the like
    would make a resumed run another one.
    """

    def __call__(self, image: Tensor, share: Tensor, rng: ImageRng) -> tuple[Tensor, Tensor]: ...


class Mixing:
    """A mix with its random numbers: a function of seed, epoch and the batch's number, not of what ran before.

    Raises UserError where the mix cannot be called, or gives back other shapes.
    """

    def __init__(self, *, mix: Mix, seed: int) -> None:
        if not callable(mix):
            raise UserError(
                f"module.mix must be null or a mapping with the _target_ of a mix, got {mix!r}; "
                "a file of conf/mix/ is chosen by mix@module.mix=mixup"
            )
        self.mix, self.seed = mix, seed

    def __call__(self, image: Tensor, label: Tensor, *, classes: int, epoch: int, batch: int) -> tuple[Tensor, Tensor]:
        """Images and their classes (B,), or shares of them (B, classes) -> mixed images and shares (B, classes).

        batch: its number among those of all devices in the epoch.
        """
        share = (one_hot(label, classes) if label.ndim == 1 else label).to(torch.float32)
        rng = ImageRng(seed=self.seed + MIX_SEED, epoch=epoch, position=[batch])
        mixed, mixed_share = self.mix(image, share, rng)
        if mixed.shape != image.shape or mixed_share.shape != share.shape:
            raise UserError(
                f"a mix must give back images and shares of the shapes that it gets, {tuple(image.shape)} and "
                f"{tuple(share.shape)}; {type(self.mix).__name__} made {tuple(mixed.shape)} and "
                f"{tuple(mixed_share.shape)} of them"
            )
        return mixed, mixed_share

"""Transforms of torchvision and others as augmentations, with random numbers of seed, epoch and image."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from headstart.data.loading.image_seed import ImageRng
from headstart.data.transforms.augmentation import Augmentation
from headstart.types import UserError

ROUNDING = 1e-3  # beyond [0, 1]: what mixtures of images may be off


class LibraryTransform:
    """A callable that changes one image, as torchvision.transforms.v2 has them, as an augmentation.

    It may draw from the global generators of torch, NumPy and Python: before each image they are set by the image's own
    random numbers, and afterwards they go on as if nothing had been drawn. So an image depends on seed, epoch and its
    position alone.

    Args:
        transform: Takes an image (channels, size, size), float32, values in [0, 1] before mean and std, and gives one
            of the same shape.
    """

    def __init__(self, *, transform: Callable[[Tensor], Tensor]) -> None:
        self.transform = transform

    def __call__(self, image: Tensor, rng: ImageRng) -> Tensor:
        upper, lower = (rng.uniform(2) * 2**24).long().unbind(1)  # 24 bits each: all that a number has
        seeds = (upper * 2**24 + lower).tolist()
        changed = torch.empty_like(image)
        with _global_generators() as set_to:
            for at, (picture, seed) in enumerate(zip(image, seeds, strict=True)):
                set_to(seed)
                changed[at] = self._of_one(picture)
        return changed

    def _of_one(self, image: Tensor) -> Tensor:
        name = type(self.transform).__name__
        try:
            changed = self.transform(image.clone())  # some change what they are given
        except (TypeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            hint = "; beside its _target_, _convert_: all gives it plain lists" if "ListConfig" in reason else ""
            raise UserError(
                f"augment {name} failed on an image {tuple(image.shape)} of {image.dtype} in [0, 1]: {reason}{hint}"
            ) from error
        if not isinstance(changed, Tensor) or changed.shape != image.shape or changed.dtype != image.dtype:
            made = (
                f"{tuple(changed.shape)} of {changed.dtype}" if isinstance(changed, Tensor) else type(changed).__name__
            )
            raise UserError(
                f"augment {name} must give back an image of the shape and type that it gets, {tuple(image.shape)} of "
                f"{image.dtype}, and made {made}"
            )
        low, high = changed.min().item(), changed.max().item()
        if not -ROUNDING <= low <= high <= 1 + ROUNDING:
            raise UserError(
                f"augment {name} must give back values in [0, 1], and made {low:.3g} to {high:.3g}; mean and std come "
                "afterwards, from the backbone"
            )
        return changed.clamp_(0, 1)


def as_augmentation(augment: Any) -> Augmentation | None:
    """An augmentation as it is, and any other callable as a transform of one image; None of None.

    Args:
        augment: What a configuration has made.

    Raises UserError where it cannot be called.
    """
    if augment is None:
        return None
    if not callable(augment):
        raise UserError(
            f"augment must be null or a mapping with the _target_ of an augmentation, or a list of such mappings, got "
            f"{augment!r}; a file of conf/augment/ is chosen by augment@target.augment=affine"
        )
    return augment if _takes_rng(augment) else LibraryTransform(transform=augment)


def _takes_rng(call: Callable[..., Any]) -> bool:
    """Whether it asks for an image and random numbers, as headstart's augmentations do."""
    try:
        parameters = inspect.signature(call.forward if isinstance(call, nn.Module) else call).parameters.values()
    except (TypeError, ValueError):  # of a callable that is not written in Python
        return False
    asked = [parameter for parameter in parameters if parameter.default is parameter.empty and parameter.kind in (
        parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD,
    )]  # fmt: skip
    return len(asked) > 1 or any(parameter.name == "rng" for parameter in parameters)


@contextmanager
def _global_generators() -> Iterator[Callable[[int], None]]:
    """Within it the global generators of torch's CPU, NumPy and Python can be set; behind it they are as before."""
    of_torch, of_numpy, of_python = torch.get_rng_state(), np.random.get_state(), random.getstate()

    def set_to(seed: int) -> None:
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would set those of GPUs, too
        np.random.seed(seed % 2**32)
        random.seed(seed)

    try:
        yield set_to
    finally:
        torch.set_rng_state(of_torch)
        np.random.set_state(of_numpy)
        random.setstate(of_python)

"""What a set of views is, and the images that views are cut from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from headstart.types import LARGER, Pixels, UserError


class Views(Protocol):
    """What `tta` is: any class with this setting and this call, one's own too.

    larger: so many times as wide and high as what the backbone takes (size) are the images that it is given.
    image (B, channels, H, W), uint8 or normalised -> the views, each (B, channels, size, size) of the same type, always
    as many and in the same order: chance has no part in a test.
    """

    larger: float

    def __call__(self, image: Tensor, size: int) -> Sequence[Tensor]: ...


def enlarged(pixels: Pixels, larger: float, *, resize: int | None) -> Pixels:
    """The pixels that views are cut from: of the image as the backbone would see it, with more around its centre.

    resize: what the data themselves make of the shorter side, None for what pixels say, else 256/224 of the size.
    Where that is less than views need, the shorter side becomes what they need.
    """
    if larger == 1:
        return pixels if resize is None else pixels._replace(resize=resize)
    size = round(pixels.size * larger)
    shorter = resize or pixels.resize or round(pixels.size * LARGER)
    return pixels._replace(size=size, resize=max(shorter, size))


def views_of(views: Views, image: Tensor, size: int) -> list[Tensor]:
    """The views of a batch of images. Raises UserError where they are not what a backbone takes."""
    of_batch = list(views(image, size))
    want = (*image.shape[:2], size, size)
    if not of_batch or any(view.shape != want or view.dtype != image.dtype for view in of_batch):
        came = ", ".join(f"{tuple(view.shape)} of {view.dtype}" for view in of_batch) or "none"
        raise UserError(
            f"tta must make views of {want} of {image.dtype} out of images of {tuple(image.shape)}, one at least; "
            f"{type(views).__name__} made {came}"
        )
    return of_batch

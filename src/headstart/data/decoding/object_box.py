"""Objects on a plain background: how much of the frame they take, and all of them drawn equally large in its middle."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headstart.types import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

CONTRAST = 0.25  # of the largest difference from the background: what differs more is the object


class ObjectExtent(NamedTuple):
    """Where an object lies in its frame, in pixels; right and bottom are the first ones behind it."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def longer_side(self) -> int:
        """The longer one of width and height."""
        return max(self.right - self.left, self.bottom - self.top)


def object_extent(grey: NDArray[np.uint8]) -> ObjectExtent | None:
    """Where the object of a grey image (H, W) lies; None where all pixels are alike.

    The background is the median of the outermost pixels. The object is what differs from it by CONTRAST of the largest
    difference or more, so that neither blur nor noise of a smaller contrast makes it larger.
    """
    difference = np.abs(grey.astype(np.int16) - np.int16(np.median(_edge(grey))))
    highest = int(difference.max())
    if highest == 0:
        return None
    inside = difference >= CONTRAST * highest
    across, down = np.flatnonzero(inside.any(axis=0)), np.flatnonzero(inside.any(axis=1))
    return ObjectExtent(int(across[0]), int(down[0]), int(across[-1]) + 1, int(down[-1]) + 1)


def check_box(box: int | None, size: int) -> None:
    """Raise UserError where a box of so many pixels does not fit into a frame of `size`."""
    if box is not None and not 1 <= box <= size:
        raise UserError(
            f"box must be 1 to the backbone's {size} pixels, of the object's longer side within the frame, or null "
            f"for images as they are, got {box}; try box={round(size * 5 / 7)}"
        )


def is_plain(grey: NDArray[np.uint8]) -> bool:
    """Whether three quarters of the outermost pixels of a grey image (H, W) are of the background."""
    edge = _edge(grey).astype(np.int16)
    background = np.int16(np.median(edge))
    highest = int(np.abs(grey.astype(np.int16) - background).max())
    return bool((np.abs(edge - background) < max(1.0, CONTRAST * highest)).mean() >= 0.75)


def boxed(image: Image, *, size: int, box: int) -> NDArray[np.uint8]:
    """The object of an image of mode L or RGB, its longer side `box` pixels long, in the middle of a plain frame.

    The ratio of its sides stays. What the frame has beyond the image is of the background's colour, the median of the
    outermost pixels. Bilinear, antialiased. An image of one colour stays of one colour.

    Args:
        image: Upright.
        size: Height and width of the frame, in pixels.
        box: Of the object, in pixels; at most size.

    Returns:
        (size, size) or (size, size, 3).
    """
    from PIL.Image import Resampling, new

    extent = object_extent(np.asarray(image.convert("L")))
    if extent is None:
        return np.asarray(image.resize((size, size), Resampling.NEAREST))
    half = size / box * extent.longer_side / 2  # of the frame, in pixels of the image
    middle = ((extent.left + extent.right) / 2, (extent.top + extent.bottom) / 2)
    pad = ceil(
        max(
            0.0, *(half - at for at in middle), *(at + half - side for at, side in zip(middle, image.size, strict=True))
        )
    )
    colour = tuple(int(np.median(_edge(channel))) for channel in _channels(image))
    framed = new(image.mode, (image.width + 2 * pad, image.height + 2 * pad), colour if len(colour) > 1 else colour[0])
    framed.paste(image, (pad, pad))
    left, top = (pad + at - half for at in middle)
    return np.asarray(
        framed.resize((size, size), Resampling.BILINEAR, box=(left, top, left + 2 * half, top + 2 * half))
    )


def boxed_stack(image: NDArray[np.uint8], *, size: int, box: int) -> NDArray[np.uint8]:
    """Images in memory (N, H, W) or (N, H, W, 3), each as `boxed` makes it -> (N, size, size) or (N, size, size, 3)."""
    from PIL.Image import fromarray

    made = [boxed(fromarray(pixels), size=size, box=box) for pixels in image]
    return np.stack(made) if made else np.empty((0, size, size, *image.shape[3:]), np.uint8)


def _edge(channel: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The outermost pixels of (H, W)."""
    return np.concatenate([channel[0], channel[-1], channel[1:-1, 0], channel[1:-1, -1]])


def _channels(image: Image) -> list[NDArray[np.uint8]]:
    pixels = np.asarray(image)
    return [pixels] if pixels.ndim == 2 else [pixels[:, :, number] for number in range(pixels.shape[2])]

"""Rectangles of pixels."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class PixelBox(NamedTuple):
    """Pixels of an image: rows `top` to `bottom` - 1, columns `left` to `right` - 1."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    def of(self, image: Tensor) -> Tensor:
        """The pixels (C, height, width) of an image (C, H, W)."""
        return image[:, self.top : self.bottom, self.left : self.right]

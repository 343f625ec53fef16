"""Views: the image and its mirror image."""

from __future__ import annotations

from torch import Tensor


class Flip:
    """Two views: the image, and it with left and right exchanged; not for digits, letters or signs."""

    larger = 1.0

    def __call__(self, image: Tensor, size: int) -> list[Tensor]:  # noqa: ARG002 - it is that large already
        return [image, image.flip(-1)]

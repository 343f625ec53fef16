"""Layers that are drawn at 224 pixels a side, at the size of an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage


def resized_layer(layer: NDArray[np.float64], sides: tuple[int, ...]) -> NDArray[np.float64]:
    """A layer of numbers at another size, bilinear and without aliasing; of its own size, itself.

    Args:
        layer: (h, w).
        sides: Height and width that are wanted.
    """
    if layer.shape == tuple(sides):
        return layer
    picture = PillowImage.fromarray(layer.astype(np.float32))
    return np.asarray(picture.resize((sides[1], sides[0]), PillowImage.Resampling.BILINEAR), np.float64)

"""One file of a container, and the pixels that it shows."""

from dataclasses import dataclass
from typing import Any

import numpy as np


def on(colour, alpha, background=255.0):
    """What is seen of colours (H, W, n) or (H, W) with an alpha of 0 to 255 on a background."""
    a = (alpha.astype(float) / 255)[..., None]
    colour = np.atleast_3d(colour).astype(float)
    return colour * a + background * (1 - a)


def grey(values):
    return np.repeat(np.atleast_3d(values), 3, axis=2).astype(float)


def of_cmyk(cmyk):
    ink = cmyk.astype(float) / 255
    return 255 * (1 - ink[..., :3]) * (1 - ink[..., 3:])


def of_ycc(ycc):
    """ITU-R BT.601 of the full range, as JPEG has it."""
    y, b, r = (ycc[..., at].astype(float) - (0 if at == 0 else 128) for at in range(3))
    return np.stack([y + 1.402 * r, y - 0.344136 * b - 0.714136 * r, y + 1.772 * b], -1).clip(0, 255)


@dataclass
class Case:
    made: Any  # orientation -> bytes
    want: Any  # (H, W, 3) or (H, W, 1), upright
    within: float = 1.01
    orientations: Any = range(1, 9)
    value_range: Any = None
    background: int = 255

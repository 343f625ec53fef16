"""Random numbers of each image in each epoch, whatever batch, device or worker it is in."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class ImageRng:
    """Each image's own random numbers, a function of seed, epoch and the image's position in the data set.

    The batch, the device, the worker and the global random state are no part of it, so that any number of
    devices and a resumed run see the same images. SplitMix64 streams, all images' at once.
    Steele, Lea & Flood 2014, Fast Splittable Pseudorandom Number Generators, fig. 16.
    """

    def __init__(self, *, seed: int, epoch: ArrayLike, position: ArrayLike) -> None:
        key = _mixed(np.asarray([seed], np.uint64) + GOLDEN)
        key = _mixed(key + np.asarray(epoch, np.uint64) + GOLDEN)
        self._state = _mixed(key + np.asarray(position, np.uint64) + GOLDEN)  # (B,), no two positions alike

    def uniform(self, count: int) -> Tensor:
        """The next `count` numbers of each image (B, count), float32 in [0, 1)."""
        steps = np.arange(1, count + 1, dtype=np.uint64) * GOLDEN
        drawn = _mixed(self._state[:, None] + steps)
        self._state = self._state + np.asarray([count], np.uint64) * GOLDEN
        # the upper 24 bits: as many as float32 holds exactly
        return torch.from_numpy((drawn >> np.uint64(40)).astype(np.float32) * np.float32(2**-24))


def _mixed(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser, which turns each 64-bit number into another one."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = value ^ (value >> np.uint64(31))
    return mixed

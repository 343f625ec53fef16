"""Power law of a learning curve: error over the number of labelled images, fitted and continued."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
EXPONENTS = np.geomspace(0.02, 3.0, 120)  # that are tried
FEWEST_SIZES = 3  # sizes of a curve that can be fitted


class PowerLaws(NamedTuple):
    """Error = floor + scale n^-exponent, for each of R curves.

    Attributes:
        floor: (R,), from 0: the error with ever more images.
        scale: (R,), from 0.
        exponent: (R,), from 0.02 to 3.
    """

    floor: Floats
    scale: Floats
    exponent: Floats

    def error(self, images: float) -> Floats:
        """(R,), the error with so many images.

        Args:
            images: n, above 0.
        """
        return np.asarray(self.floor + self.scale * float(images) ** -self.exponent)


def power_laws(images: ArrayLike, errors: ArrayLike, weights: ArrayLike) -> PowerLaws:
    """The power law of least weighted squares of each curve, with a floor and a scale of 0 or more.

    For each of 120 exponents the other two are linear, and are found in closed form; the best exponent counts. Error
    over images falls by such a law in vision and language (Hestness et al. 2017, Deep Learning Scaling is Predictable,
    Empirically, arXiv:1712.00409, section 3), after a first part with very few images.

    Args:
        images: (S,), rising, 3 sizes or more.
        errors: (R, S), of R curves at these sizes, from 0 to 1.
        weights: (S,), of the squares, above 0.

    Raises:
        ValueError: There are fewer than 3 sizes, they do not rise, or the shapes do not fit.
    """
    n, y, w = (np.asarray(values, dtype=np.float64) for values in (images, errors, weights))
    if n.ndim != 1 or len(n) < FEWEST_SIZES or not (np.diff(n) > 0).all() or not n[0] > 0:
        raise ValueError(f"a power law needs {FEWEST_SIZES} rising numbers of images, got {n.tolist()}")
    if y.ndim != 2 or y.shape[1] != len(n) or w.shape != n.shape or not (w > 0).all():
        raise ValueError(f"errors must be (curves, {len(n)}) with a weight above 0 each, got {y.shape} and {w.shape}")
    w = w / w.sum()
    middle = float(np.exp(np.log(n).mean()))  # so that the scale is of the order of the errors
    base = (n / middle) ** -EXPONENTS[:, None]  # (E, S)
    mean_base = base @ w  # (E,)
    spread = (base**2) @ w - mean_base**2
    mean_y = y @ w  # (R,)
    scale = ((y * w) @ base.T - mean_y[:, None] * mean_base) / spread  # (R, E), with a free floor
    scale = np.maximum(scale, 0.0)
    floor = mean_y[:, None] - scale * mean_base
    at_zero = floor < 0  # the floor's best is 0 then, as the problem is convex
    scale = np.where(at_zero, np.maximum((y * w) @ base.T / ((base**2) @ w), 0.0), scale)
    floor = np.where(at_zero, 0.0, floor)
    residual = y[:, None, :] - floor[:, :, None] - scale[:, :, None] * base
    best = (residual**2 @ w).argmin(axis=1)
    rows = np.arange(len(y))
    exponent = EXPONENTS[best]
    return PowerLaws(floor[rows, best], scale[rows, best] * middle**exponent, exponent)

"""Which exponential describes a learning curve?"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_NEEDED = 4  # evaluations: three parameters and one degree of freedom
_GRID = 120  # rates tried at first: neighbours differ by 6 % for 30 epochs


class Fit(NamedTuple):
    """y = ceiling - rise * exp(-rate * (x - x[0])); nan where nothing can be fitted."""

    ceiling: float
    rise: float  # ceiling - fitted start; below 0 where the curve falls
    rate: float  # one over x's unit
    error: float  # standard error of ln rate; inf where the curve does not rise or the rate is at its bound
    least_error: float  # what residuals of one image alone would make of it
    rmse: float  # of the residuals

    @property
    def slope(self) -> float:
        """The initial slope, rise * rate: level per unit of x."""
        return self.rise * self.rate


_NO_FIT = Fit(math.nan, math.nan, math.nan, math.inf, math.inf, math.nan)


def exponential_fit(x: Floats, level: Floats, *, resolution: float) -> Fit:
    """Least squares of y = a - b exp(-c (x - x[0])) over a, b and c.

    x (n,) ascending, level (n,), higher is better; resolution: what one image is worth, the least standard
    deviation that a residual is believed to have, so that a curve without noise has an error too.
    For a given c the model is linear in a and b (variable projection), so the search is over ln c alone: a
    grid, then a finer grid around its best, then a parabola. It needs no start values and cannot end in a
    local optimum of the other two. c lies between 0.1/span (below, the curve is a straight line within the
    data, and a and b run away) and 4/(shortest gap) (above, it has arrived, to 2 %, at the first evaluation).
    Unweighted on purpose: binomial weights gain little (the variance changes fourfold along a curve) and
    trust the noise model more than real curves deserve. Each run alone, without shrinkage towards a common
    rate, which would take away the spread between seeds that the interval is made of. In simulation
    (tests/report/test_coverage.py) ln c is nearly unbiased down to a rise of 0.05 with 700 images.
    """
    n = len(x)
    span = float(x[-1] - x[0]) if n else 0.0
    if n < _NEEDED or span <= 0 or not np.isfinite(level).all():
        return _NO_FIT
    t = x - x[0]
    low, high = math.log(0.1 / span), math.log(4 / float(np.diff(x).min()))
    centred = level - level.mean()
    if not centred.any():
        return Fit(float(level[0]), 0.0, 0.0, math.inf, math.inf, 0.0)
    best, step = _best_rate(t, centred, np.linspace(low, high, _GRID))
    at_bound = best <= low or best >= high
    if not at_bound:
        best, step = _best_rate(t, centred, np.linspace(best - step, best + step, 25))
    rate = math.exp(best)
    e = np.exp(-rate * t)
    around = e - e.mean()
    rise = -float(centred @ around / (around @ around))
    ceiling = float(level.mean() + rise * e.mean())
    residual = level - (ceiling - rise * e)
    rmse = math.sqrt(float(residual @ residual) / n)
    sensitivity = _sensitivity(rate * t, e, rise) if rise > 0 and not at_bound else math.inf
    sd = max(math.sqrt(float(residual @ residual) / (n - 3)), resolution, 1e-12)  # inf * 0 would be nan
    return Fit(ceiling, rise, rate, sd * sensitivity, resolution and resolution * sensitivity, rmse)


def _best_rate(t: Floats, centred: Floats, ln_rates: Floats) -> tuple[float, float]:
    """The ln rate that explains most of the variance, between the grid's points, and the grid's step."""
    e = np.exp(-np.exp(ln_rates)[:, None] * t)
    e -= e.mean(axis=1, keepdims=True)
    gain = (e @ centred) ** 2 / (e * e).sum(axis=1)
    i, step = int(gain.argmax()), float(ln_rates[1] - ln_rates[0])
    if i in (0, len(ln_rates) - 1):
        return float(ln_rates[i]), step
    before, here, after = (float(g) for g in gain[i - 1 : i + 2])
    bend = before - 2 * here + after
    return float(ln_rates[i]) + (0.5 * (before - after) / bend * step if bend < 0 else 0.0), step


def _sensitivity(ct: Floats, e: Floats, rise: float) -> float:
    """Standard error of ln c for residuals of standard deviation 1 (Gauss-Newton, three parameters)."""
    jacobian = np.stack([np.ones_like(e), -e, rise * ct * e], axis=1)
    try:
        covariance = np.linalg.inv(jacobian.T @ jacobian)
    except np.linalg.LinAlgError:
        return math.inf
    variance = float(covariance[2, 2])
    return math.sqrt(variance) if variance > 0 else math.inf

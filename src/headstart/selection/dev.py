"""DEV: importance-weighted risk of the source with reduced variance."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor

from headstart.selection.iwcv import losses
from headstart.selection.score_inputs import Sides
from headstart.selection.selection import Score


class DEV(Score):
    """dev() of the cross-entropy on the source's val.

    Args:
        strength: Of the density ratio (selection/density_ratio.py).
    """

    metric = "target/dev"
    mode = "min"
    weighs = True

    def __init__(self, *, strength: Annotated[float, Gt(0)] = 0.01) -> None:
        self.strength = strength

    def __call__(self, sides: Sides) -> float:
        return float(dev(losses(sides), sides.weights(strength=self.strength)))


def dev(loss: Tensor, weight: Tensor) -> Tensor:
    """mean(L) + eta mean(w) - eta with L = weight * loss, eta = -cov(L, w) / var(w); both (N,), N > 1 -> scalar.

    The weights' mean is 1 over the source, so that the control variate w changes no expectation; it can fall below 0.
    Where all weights are equal eta is 0.
    You et al. 2019, Towards Accurate Model Selection in Deep Unsupervised Domain Adaptation (ICML), algorithm 1.
    """
    weighted = weight * loss
    covariance = torch.cov(torch.stack([weighted, weight]))
    eta = torch.where(covariance[1, 1] == 0, 0.0, -covariance[0, 1] / covariance[1, 1])
    return weighted.mean() + eta * weight.mean() - eta

"""Shares drawn from Beta(alpha, alpha)."""

from __future__ import annotations

import torch
from scipy.special import betaincinv
from torch import Tensor


def beta(uniform: Tensor, alpha: float) -> Tensor:
    """Uniform numbers in [0, 1) -> shares in [0, 1] by the distribution's inverse, float64; alpha > 0.

    1 is uniform, less prefers 0 and 1, more prefers 1/2. One number for one share, where a rejection would need any
    number of them.
    """
    return torch.as_tensor(betaincinv(alpha, alpha, uniform.double().numpy()))

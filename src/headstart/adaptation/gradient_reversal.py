"""Gradient reversal: the identity, whose gradient changes its sign on the way back."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def reversed_gradient(x: Tensor, strength: float) -> Tensor:
    """The same numbers; what comes back is -strength times the gradient. Ganin et al. 2016 (arXiv:1505.07818)."""
    same: Tensor = _Reversal.apply(x, strength)
    return same


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradient, None

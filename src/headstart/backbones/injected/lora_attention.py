"""Low-rank updates of the projections of torch's attention."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call


class LowRank(nn.Module):
    """B A of a weight (out, in): A (rank, in) as torch's linear layers begin, B (out, rank) with 0."""

    is_adapter = True  # what unfreeze/parameter_kinds.py knows it by

    def __init__(self, *, width: int, out: int, rank: int) -> None:
        super().__init__()
        self.A, self.B = nn.Parameter(torch.empty(rank, width)), nn.Parameter(torch.zeros(out, rank))
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))

    def forward(self) -> Tensor:
        return self.B @ self.A


class LoraAttention(nn.Module):
    """nn.MultiheadAttention with W + scaling B A in place of its two weights: that of q, k, v, and that of the output.

    Its own weights are never written: peft's layer for attention adds the update to them before each call and subtracts
    it afterwards, which moved them by 1e-7 in 50 calls, in a trial, and leaves other Parameter objects than the
    optimizer's.

    Args:
        base_layer: Whose weights are updated.
        rank: Of the update.
        scaling: Of the update.
    """

    def __init__(self, base_layer: nn.MultiheadAttention, *, rank: int, scaling: float) -> None:
        super().__init__()
        width = base_layer.embed_dim
        self.base_layer, self.rank, self.scaling = base_layer, rank, scaling
        self.lora_in = LowRank(width=width, out=3 * width, rank=rank)
        self.lora_out = LowRank(width=width, out=width, rank=rank)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return functional_call(self.base_layer, self._weights(), args, kwargs)

    def _weights(self) -> dict[str, Tensor]:
        attention = self.base_layer
        return {
            "in_proj_weight": attention.in_proj_weight + self.scaling * self.lora_in(),
            "out_proj.weight": attention.out_proj.weight + self.scaling * self.lora_out(),
        }

    @torch.no_grad()
    def merged(self) -> nn.MultiheadAttention:
        """The plain attention that computes the same; this one is of no use afterwards."""
        for name, weight in self._weights().items():
            self.base_layer.get_parameter(name).copy_(weight)
        return self.base_layer

    def extra_repr(self) -> str:
        return f"rank={self.rank}, scaling={self.scaling:g}"

"""Many linear heads as one tensor."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

CHUNK = 2**24  # logits that are in memory at once


class StackedHeads(NamedTuple):
    """G linear layers from D features to K classes."""

    weight: Tensor  # (G, K, D)
    bias: Tensor  # (G, K)

    def one(self, index: int) -> StackedHeads:
        """The head at an index, as a group of one."""
        return StackedHeads(self.weight[index : index + 1], self.bias[index : index + 1])

    def logits(self, features: Tensor) -> Tensor:
        """Features (N, D) -> (G, K, N), all heads by one matrix product."""
        flat = self.weight.flatten(0, 1)
        return torch.addmm(self.bias.reshape(-1, 1), flat, features.to(flat).T).view(*self.bias.shape, -1)

    def predictions(self, features: Tensor) -> Tensor:
        """Features (N, D) -> the likeliest class of each (G, N)."""
        rows = max(1, CHUNK // self.bias.numel())
        return torch.cat([self.logits(part).argmax(dim=1) for part in torch.split(features, rows)], dim=1)

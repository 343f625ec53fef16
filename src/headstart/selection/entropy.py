"""Entropy: mean entropy of the predictions on the target."""

from __future__ import annotations

import torch
from torch import Tensor

from headstart.selection.score_inputs import Sides
from headstart.selection.selection import Score


class Entropy(Score):
    """mean_entropy() of the target's val."""

    metric = "target/entropy"
    mode = "min"

    def __call__(self, sides: Sides) -> float:
        return float(mean_entropy(sides.target_val.logits))


def mean_entropy(logits: Tensor) -> Tensor:
    """The mean over images of -sum_c p_c ln p_c, p = softmax(logits (N, C)) -> scalar from 0 to ln C, float64.

    Morerio et al. 2018, Minimal-Entropy Correlation Alignment (arXiv:1711.10288).
    """
    of_each: Tensor = torch.special.entr(logits.double().softmax(dim=1)).sum(dim=1)
    return of_each.mean()

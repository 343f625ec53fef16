"""Domain discriminator: from a feature to the domain that it comes from, its loss and its accuracy."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy


class Discriminator(nn.Module):
    """Two hidden layers of ReLU; no BatchNorm, so that the logit of an image does not depend on the others.

    Args:
        width: Of the features.
        hidden: Of both layers.
    """

    def __init__(self, width: int, *, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, D) -> logits (B,); above 0 is the source."""
        logits: Tensor = self.layers(x)
        return logits[:, 0]


def domain_loss(
    source: Tensor, target: Tensor, source_weight: Tensor | None = None, target_weight: Tensor | None = None
) -> Tensor:
    """The mean cross-entropy of the source's logits (n_s,) plus that of the target's (n_t,), scalar >= 0.

    2 ln 2 where nothing can be told. With weights (n_s,), (n_t,) the means are weighted ones.
    Ganin et al. 2016 (arXiv:1505.07818), eq. 8, the sum over both domains without its minus.
    """
    losses = (
        cross_entropy(source, torch.ones_like(source), reduction="none"),
        cross_entropy(target, torch.zeros_like(target), reduction="none"),
    )
    of_source, of_target = (
        loss.mean() if weight is None else (weight * loss).sum() / weight.sum()
        for loss, weight in zip(losses, (source_weight, target_weight), strict=True)
    )
    return of_source + of_target


def domain_accuracy(source: Tensor, target: Tensor) -> Tensor:
    """The mean of the shares of both domains that are told right: 0.5 is chance level, however many images each has."""
    return ((source > 0).float().mean() + (target <= 0).float().mean()) / 2

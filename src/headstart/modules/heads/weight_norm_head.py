"""Weight-normalised head: a linear layer whose weights are a direction and a length for each class."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from headstart.modules.heads.classification_head import ClassificationHead, Init
from headstart.modules.heads.linear_head import set_closed_form


class WeightNormHead(ClassificationHead):
    """logits_c = length_c * x . v_c / |v_c| + b_c.

    Salimans & Kingma 2016, Weight Normalization (arXiv:1602.07868), eq. 2: a step changes the direction of a class's
    weights and their length apart. SHOT's head (Liang et al. 2020, arXiv:2002.08546).

    Args:
        width: Of the features.
        num_classes: The classes.
        init: What its weights are before the first step.
        standardise: Whether it reads standardised features, by those of the training images at the start.
    """

    last_layer = ("direction", "length", "bias")

    def __init__(self, *, width: int, num_classes: int, init: Init, standardise: bool = False) -> None:
        super().__init__(init=init, standardise=standardise, summary_width=width)
        self.direction = nn.Parameter(torch.empty(num_classes, width))
        nn.init.xavier_normal_(self.direction)
        self.length = nn.Parameter(self.direction.detach().norm(dim=1))
        self.bias = nn.Parameter(torch.zeros(num_classes))
        if init == "zeros":
            nn.init.zeros_(self.length)

    def summary(self, features: Tensor) -> Tensor:
        """Features (B, width), as they are."""
        return features

    def last(self, read: Tensor) -> Tensor:
        """Features (B, width) -> logits (B, num_classes)."""
        return read @ (self.length[:, None] * normalize(self.direction, dim=1)).T + self.bias

    @torch.no_grad()
    def fit_means(self, read: Tensor, labels: Tensor, all_labels: Tensor | None) -> None:
        """Take the closed form of a linear layer on features (N, width), as a direction and a length."""
        classes, width = self.direction.shape
        linear = nn.Linear(width, classes, device="meta").to_empty(device=self.direction.device)  # draws no number
        set_closed_form(linear, read, labels, all_labels)
        self.direction.copy_(linear.weight)
        self.length.copy_(linear.weight.norm(dim=1))
        self.bias.copy_(linear.bias)

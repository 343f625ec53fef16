"""Deep CORAL: distance between the covariances of source and target features."""

from __future__ import annotations

import torch
from torch import Tensor

from headstart.adaptation.adaptation import Adaptation, Head, Side


class CORAL(Adaptation):
    """strength * coral of the features; both batches need two images at least."""

    measures = ("coral",)
    least_images = 2  # one has no covariance

    def forward(self, *, source: Side, target: Side, head: Head, strength: float) -> Tensor:
        gap = coral(source.features.float(), target.features.float())
        self.metrics = {"coral": gap.detach()}
        return strength * gap


def coral(source: Tensor, target: Tensor) -> Tensor:
    """Squared Frobenius distance of the two covariances over 4 d^2.

    source (n_s, d), target (n_t, d) -> scalar >= 0; n_s and n_t may differ.
    Sun & Saenko 2016, Deep CORAL (arXiv:1607.01719), eq. 1.
    """
    gap = torch.cov(source.T) - torch.cov(target.T)
    squares: Tensor = gap.square().sum()
    return squares / (4 * source.shape[1] ** 2)

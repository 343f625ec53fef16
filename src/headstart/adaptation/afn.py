"""AFN: feature norms that grow step by step in both domains."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from headstart.adaptation.adaptation import Adaptation, Head, Ramp, Side


class AFN(Adaptation):
    """strength * the sum over both domains of step_up: small norms make a target's features hard to transfer.

    Xu et al. 2019, Larger Norm More Transferable (arXiv:1811.07456), the stepwise variant, eq. 6.

    Args:
        weight: As of any adaptation.
        ramp: As of any adaptation.
        step: How much longer than now a feature vector should be.
    """

    measures = ("target_norm",)

    def __init__(self, *, weight: Annotated[float, Ge(0)], ramp: Ramp, step: Annotated[float, Gt(0)]) -> None:
        super().__init__(weight=weight, ramp=ramp)
        self.step = step

    def forward(self, *, source: Side, target: Side, head: Head, strength: float) -> Tensor:
        self.metrics = {"target_norm": torch.linalg.vector_norm(target.features.detach(), dim=1).mean()}
        return strength * (step_up(source.features, self.step) + step_up(target.features, self.step))


def step_up(features: Tensor, step: float) -> Tensor:
    """The mean of (n + step - |f|)^2 of features (B, D), n being |f| without gradient: step^2, and never flat."""
    norms: Tensor = torch.linalg.vector_norm(features.float(), dim=1)
    return (norms.detach() + step - norms).square().mean()

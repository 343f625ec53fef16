"""DAN: maximum mean discrepancy of the features under many kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from headstart.adaptation.adaptation import Adaptation, Head, Ramp, Side
from headstart.adaptation.mmd import Estimate, gaussians, median_scale, mmd, squared_distances


class DAN(Adaptation):
    """strength * MK-MMD of the features: the mean of Gaussian kernels around the median distance of the two batches.

    Long et al. 2015, Learning Transferable Features with Deep Adaptation Networks (arXiv:1502.02791), eqs. 1 and 2,
    with equal weights of the kernels and on the last features alone.

    Args:
        weight: As of any adaptation.
        ramp: As of any adaptation.
        octaves: The exponents k of the kernels, whose squared widths are 2^k times the median squared distance.
        estimate: Which estimate of the MMD (adaptation/mmd.py).
    """

    measures = ("mmd", "kernel_scale")

    def __init__(
        self, *, weight: Annotated[float, Ge(0)], ramp: Ramp, octaves: Sequence[float], estimate: Estimate
    ) -> None:
        super().__init__(weight=weight, ramp=ramp)
        self.octaves, self.estimate = tuple(octaves), estimate

    def forward(self, *, source: Side, target: Side, head: Head, strength: float) -> Tensor:
        distances = squared_distances(torch.cat([source.features, target.features]).float())
        scale = median_scale(distances)
        gap = mmd(gaussians(distances, scale, self.octaves), len(source.features), self.estimate)
        self.metrics = {"mmd": gap.detach(), "kernel_scale": scale}
        return strength * gap

"""JAN: maximum mean discrepancy of features and class probabilities together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from headstart.adaptation.adaptation import Adaptation, Head, Ramp, Side
from headstart.adaptation.mmd import Estimate, gaussians, median_scale, mmd, squared_distances


class JAN(Adaptation):
    """strength * joint MMD: the product of a kernel on features (as DAN's) and one on class probabilities.

    Long et al. 2017, Deep Transfer Learning with Joint Adaptation Networks (arXiv:1605.06636), eqs. 6 and 9, for the
    last features and the probabilities, whose one kernel has the median squared distance as its width.

    Args:
        weight: As of any adaptation.
        ramp: As of any adaptation.
        octaves: The exponents k of the feature kernels, whose squared widths are 2^k times the median squared distance.
        estimate: Which estimate of the MMD (adaptation/mmd.py).
    """

    measures = ("mmd", "kernel_scale")

    def __init__(
        self, *, weight: Annotated[float, Ge(0)], ramp: Ramp, octaves: Sequence[float], estimate: Estimate
    ) -> None:
        super().__init__(weight=weight, ramp=ramp)
        self.octaves, self.estimate = tuple(octaves), estimate

    def forward(self, *, source: Side, target: Side, head: Head, strength: float) -> Tensor:
        of_features = squared_distances(torch.cat([source.features, target.features]).float())
        of_classes = squared_distances(torch.cat([source.logits, target.logits]).float().softmax(dim=1))
        scale = median_scale(of_features)
        kernel = gaussians(of_features, scale, self.octaves) * gaussians(of_classes, median_scale(of_classes), [0])
        gap = mmd(kernel, len(source.features), self.estimate)
        self.metrics = {"mmd": gap.detach(), "kernel_scale": scale}
        return strength * gap

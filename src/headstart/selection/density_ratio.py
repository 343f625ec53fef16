"""Density ratio of target to source, by the features of an image."""

from __future__ import annotations

import torch
from torch import Tensor

from headstart.features.principal_axes import principal_axes
from headstart.features.probing.logistic_probe import logistic
from headstart.features.probing.standardisation import standardisation


def density_ratio(source: Tensor, target: Tensor, at: Tensor, *, strength: float) -> Tensor:
    """p_target(f) / p_source(f) of features `at` (N, D) -> (N,), float64, above 0.

    source (n, D), target (m, D): a logistic regression tells them apart by standardised features, and the ratio is
    n / m times its odds of `target`. strength: scikit-learn's C, the less of it the nearer to 1 are the ratios.
    Bickel et al. 2007, Discriminative Learning for Differing Training and Test Distributions (ICML).
    """
    both = torch.cat([source, target]).double()
    domain = torch.cat([torch.zeros(len(source)), torch.ones(len(target))]).long()
    scale = standardisation(both)
    # with two classes it fits both of two opposite weights, and so has half of what scikit-learn calls C
    heads = logistic(principal_axes(scale.of(both)), domain, 2, [strength / 2])
    of_source, of_target = heads.logits(scale.of(at.double()))[0]
    odds: Tensor = (of_target - of_source).exp()
    return len(source) / len(target) * odds

"""Logistic regression on features, for several penalties."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from headstart.features.principal_axes import PrincipalAxes, class_sums
from headstart.features.probing.convex_minimiser import minimised
from headstart.features.probing.stacked_heads import StackedHeads

log = logging.getLogger(__name__)
ITERATIONS = 1000
CHUNK = 2**23  # logits that are in memory at once


def logistic(axes: PrincipalAxes, labels: Tensor, num_classes: int, c: Sequence[float]) -> StackedHeads:
    """Multinomial logistic regression, one head a value of c, all by one L-BFGS.

    axes: of the features (N, D); labels (N,). A head has the least sum over the images of -log p(label), plus
    |W|^2 / (2 c): c is scikit-learn's C (half of it where there are two classes, of which it fits the difference);
    the biases are not penalised. Warns of heads that have not converged.

    The second derivative at 0 is s/K + 1/c along an axis with the sum of squares s (and N/K for a bias), the
    features' axes being uncorrelated; in units of its root the first step is Newton's, and few more are needed.
    """
    z, total, classes = axes.coordinates, len(labels), num_classes
    penalty = 1 / torch.tensor(c, dtype=z.dtype, device=z.device)  # (G,)
    curvature = axes.spread / classes + penalty[:, None]  # (G, r)
    units = torch.cat([curvature, curvature.new_full((len(penalty), 1), total / classes)], dim=1).rsqrt()[:, None]
    z = torch.cat([z, z.new_ones(total, 1)], dim=1)  # the bias as one more coordinate
    sums = class_sums(z, labels, classes)  # the log-likelihood is W . sums, less the normalisers
    penalties = penalty[:, None, None].repeat(1, 1, z.shape[1])
    penalties[:, :, -1] = 0

    def loss(point: Tensor, problems: Tensor) -> tuple[Tensor, Tensor]:
        weight = point.view(len(problems), classes, -1) * units[problems]
        flat = weight.flatten(0, 1)
        fit, slope = -(weight * sums).sum(dim=(1, 2)), penalties[problems] * weight
        value = fit + (slope * weight).sum(dim=(1, 2)) / 2
        slope -= sums
        for part in torch.split(z, max(1, CHUNK // len(flat))):
            logits = (flat @ part.T).view(len(problems), classes, -1)
            normal = logits.logsumexp(dim=1, keepdim=True)
            value += normal.sum(dim=(1, 2))
            slope += (logits.sub_(normal).exp_().flatten(0, 1) @ part).view_as(slope)
        return value, (slope * units[problems]).flatten(1)

    start = z.new_zeros(len(penalty), classes * z.shape[1])
    minima, converged = minimised(loss, start, tolerance=1e-6 * total**0.5, iterations=ITERATIONS)
    if not converged.all():
        slow = ", ".join(f"{value:g}" for value, done in zip(c, converged.tolist(), strict=True) if not done)
        log.warning("logistic regression has not converged in %d steps at C = %s", ITERATIONS, slow)
    weight = minima.view(len(penalty), classes, -1) * units
    return axes.heads(weight[:, :, :-1], weight[:, :, -1])

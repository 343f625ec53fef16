"""Distances between source and target in the features of the model, at each validation."""

from __future__ import annotations

import math

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from headstart.adaptation.mmd import gaussians, median_scale, mmd, squared_distances
from headstart.features.a_distance import a_distance
from headstart.selection.score_inputs import Sides

IMAGES = 500  # of each domain; 1,000 of both make a kernel of 8 MB
STRENGTH = 0.1  # of the a_distance's classifier: with few images and wide features a stronger one learns them by heart
OCTAVES = (-2, -1, 0, 1, 2)  # as adaptation=dan has them


class DomainDistances(Callback):
    """Logs domains/a_distance and domains/mmd of both domains' val at each validation inside fit.

    DomainPredictions calls it. The images are the same each time, at most IMAGES of each domain. Rank 0 computes the
    values and broadcasts them.
    """

    def on_both_sides(self, trainer: Trainer, pl_module: LightningModule, sides: Sides) -> None:
        values = distances(sides) if trainer.is_global_zero else {}
        pl_module.log_dict(trainer.strategy.broadcast(values))


def distances(sides: Sides) -> dict[str, float]:
    """Tag -> value; nan where features are not finite or there are fewer than 2 images of a domain."""
    source, target = (side.features.double() for side in sides.few(IMAGES))
    usable = all(len(features) > 1 and bool(features.isfinite().all()) for features in (source, target))
    return {
        "domains/a_distance": a_distance(source, target, strength=STRENGTH) if usable else math.nan,
        "domains/mmd": float(mk_mmd(source, target)) if usable else math.nan,
    }


def mk_mmd(source: Tensor, target: Tensor) -> Tensor:
    """The unbiased MK-MMD^2 of source (n, D) and target (m, D), scalar; it can be negative.

    The kernels' widths go with the median distance of all images, so it does not change where all features grow.
    """
    apart = squared_distances(torch.cat([source, target]))
    return mmd(gaussians(apart, median_scale(apart), OCTAVES), len(source), "unbiased")

"""AdaBN: the BatchNorm statistics of the target in place of those of training."""

from __future__ import annotations

from collections.abc import Callable, Collection

from headstart.adaptation.adaptation import Adaptation, Stages
from headstart.backbones.batch_norm_statistics import norms_of, take_statistics
from headstart.types import UserError


class AdaBN(Adaptation):
    """Learns from the source alone; before the test, all BatchNorms get the target's means and variances.

    Li et al. 2016, Revisiting Batch Normalization for Practical Domain Adaptation (arXiv:1603.04779), algorithm 1: of
    what enters each norm on the target's training images. Validation, which is the source's, has the source's.
    Raises UserError where there is no BatchNorm with running statistics.
    """

    reads_paired = False
    finalizes = True

    def __init__(self) -> None:
        super().__init__(weight=0, ramp="constant")

    def check_stages(self, stages: Stages) -> None:
        if not norms_of(stages):
            raise UserError(
                "adaptation=adabn replaces the statistics of BatchNorm, and this backbone has none; "
                "try backbone=small_cnn or backbone=resnet18, or another adaptation"
            )

    def begin(self, stages: Stages, from_source: Collection[str]) -> None:
        self.check_stages(stages)

    def finalize(self, stages: Stages, run: Callable[[], None]) -> None:
        take_statistics(norms_of(stages), run)

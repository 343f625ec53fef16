"""TENT: BatchNorm's weights and biases learn certainty about the target, without any image of the source."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Annotated

from annotated_types import Ge
from torch import Tensor

from headstart.adaptation.adaptation import Adaptation, Head, Ramp, Side, Stages
from headstart.adaptation.cdan import entropy_of
from headstart.backbones.batch_norm_statistics import norms_of, take_statistics
from headstart.types import UserError


class Tent(Adaptation):
    """strength * the mean entropy of the target's predictions, from which norms alone learn.

    Wang et al. 2021, Tent: Fully Test-Time Adaptation by Entropy Minimization (arXiv:2006.10726), section 3: the
    affine parameters of the norms learn, and each batch is normalised by its own statistics. There, the images that
    are predicted are those that the model adapts to, batch by batch; here it adapts to the target's training images,
    and is tested on others with their statistics in BatchNorm, which AdaBN would give it.

    Args:
        weight: As of any adaptation.
        ramp: As of any adaptation.
    """

    main = "unlabelled"
    reads_paired = False
    finalizes = True
    trains_norms_alone = True
    reads_target_alone = True
    measures = ("entropy",)
    least_images = 2

    def __init__(self, *, weight: Annotated[float, Ge(0)], ramp: Ramp) -> None:
        super().__init__(weight=weight, ramp=ramp)

    def check_stages(self, stages: Stages) -> None:
        if not norms_of(stages):
            raise UserError(
                "adaptation=tent trains BatchNorm's weights and biases, and this backbone has none; try "
                "backbone=small_cnn, backbone=resnet18 or backbone.bottleneck=256, or adaptation=shot"
            )

    def begin(self, stages: Stages, from_source: Collection[str]) -> None:
        self.check_stages(stages)

    def forward(self, *, source: Side, target: Side, head: Head, strength: float) -> Tensor:
        entropy = entropy_of(target.logits.float().softmax(dim=1)).mean()
        self.metrics = {"entropy": entropy.detach()}
        return strength * entropy

    def finalize(self, stages: Stages, run: Callable[[], None]) -> None:
        take_statistics(norms_of(stages), run)

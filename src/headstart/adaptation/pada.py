"""PADA: a domain discriminator for a target that has only some of the source's classes."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor
from torch.nn.functional import cross_entropy

from headstart.adaptation.adaptation import DevicePredictions, Head, Ramp, Side
from headstart.adaptation.dann import DANN
from headstart.adaptation.domain_discriminator import domain_accuracy, domain_loss
from headstart.adaptation.gradient_reversal import reversed_gradient


class PADA(DANN):
    """DANN in which a source image counts as much as its class is predicted on the target.

    Cao et al. 2018, Partial Adversarial Domain Adaptation (arXiv:1808.04205), eqs. 4 to 6: the weight of a class is the
    mean of its probability over the target's training images, before each epoch, over the largest such mean. It weighs
    the source's images in the discriminator's loss and in the cross-entropy with their labels. Here both are weighted
    means, so that few classes make neither smaller; there, sums over the images' number. What label smoothing or class
    weights change of the cross-entropy is not weighed.

    Args:
        weight: As of any adaptation.
        ramp: As of any adaptation.
        hidden: The width of the discriminator's two layers.
    """

    looks = True
    measures = ("domain_accuracy", "least_class_weight")
    class_weight: Tensor  # (classes,)

    def __init__(self, *, weight: Annotated[float, Ge(0)], ramp: Ramp, hidden: Annotated[int, Gt(0)]) -> None:
        super().__init__(weight=weight, ramp=ramp, hidden=hidden)

    def prepare(self, *, width: int, num_classes: int, source_classes: int) -> None:
        super().prepare(width=width, num_classes=num_classes, source_classes=source_classes)
        self.register_buffer("class_weight", torch.ones(num_classes))

    def look(self, seen: DevicePredictions) -> None:
        self.class_weight = class_weights(seen)

    def forward(self, *, source: Side, target: Side, head: Head, strength: float) -> Tensor:
        assert source.label is not None
        of_source, of_target = (
            self.discriminator(reversed_gradient(side.features, strength)) for side in (source, target)
        )
        self.metrics = {
            "domain_accuracy": domain_accuracy(of_source, of_target).detach(),
            "least_class_weight": self.class_weight.min(),
        }
        counts = self.class_weight[source.label]
        losses = cross_entropy(source.logits.float(), source.label, reduction="none")
        weighed = (counts * losses).sum() / counts.sum().clamp(min=1e-12)  # in the place of the mean, which the run has
        return domain_loss(of_source, of_target, counts.clamp(min=1e-12)) + weighed - losses.mean()


def class_weights(seen: DevicePredictions) -> Tensor:
    """The mean probability of each class on all devices' images, over the largest of them (classes,). Eq. 4."""
    mean = seen.total(seen.logits.float().softmax(dim=1).sum(dim=0)) / seen.images
    return mean / mean.max()

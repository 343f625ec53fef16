"""ADDA: a target encoder that learns to pass for the frozen encoder of the source."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from headstart.adaptation.adaptation import Adaptation, Head, Ramp, Side, Stages
from headstart.adaptation.domain_discriminator import Discriminator, domain_accuracy, domain_loss
from headstart.backbones.frozen_copy import FrozenCopies
from headstart.backbones.stages import Backbone, pooled
from headstart.types import Batch


class ADDA(Adaptation):
    """The discriminator's loss, and strength * what the target's encoder has to learn to pass for the source's.

    Tzeng et al. 2017, Adversarial Discriminative Domain Adaptation (arXiv:1702.05464), eqs. 7 and 9: the source's
    encoder and head are frozen; the target's encoder, the run's backbone, begins as the source's and learns from
    inverted labels, -ln D(target), which the discriminator does not see. There, discriminator and encoder take turns;
    here both learn in one step from the same images.

    Args:
        weight: As of any adaptation.
        ramp: As of any adaptation.
        hidden: The width of the discriminator's two layers.
    """

    main = "unlabelled"
    measures = ("domain_accuracy",)

    def __init__(self, *, weight: Annotated[float, Ge(0)], ramp: Ramp, hidden: Annotated[int, Gt(0)]) -> None:
        super().__init__(weight=weight, ramp=ramp)
        self.hidden = hidden

    def prepare(self, *, width: int, num_classes: int, source_classes: int) -> None:
        self.discriminator = Discriminator(width, hidden=self.hidden)

    def stand_beside(self, stages: Stages) -> None:
        self.source_encoder = FrozenCopies(_encoder(stages))

    def begin(self, stages: Stages, from_source: Collection[str]) -> None:
        self.source_encoder.take(_encoder(stages))

    def paired_features(self, backbone: Backbone, batch: Batch) -> Tensor:
        with torch.no_grad():
            image = batch.image if batch.start else backbone.entering(batch.image)
            outputs = self.source_encoder.outputs(image, batch.start)
            return pooled(next(reversed(outputs.values()), image))

    def forward(self, *, source: Side, target: Side, head: Head, strength: float) -> Tensor:
        of_source = self.discriminator(source.features.detach())
        of_target = self.discriminator(target.features.detach())
        self.metrics = {"domain_accuracy": domain_accuracy(of_source, of_target).detach()}
        return domain_loss(of_source, of_target) + strength * self._inverted(target.features)

    def _inverted(self, features: Tensor) -> Tensor:
        """The mean of -ln D of target features (B, D), from which the discriminator does not learn; scalar."""
        as_it_is = {name: weight.detach() for name, weight in self.discriminator.named_parameters()}
        logits: Tensor = functional_call(self.discriminator, as_it_is, (features,))
        return cross_entropy(logits, torch.ones_like(logits))


def _encoder(stages: Stages) -> Stages:
    return dict(list(stages.items())[:-1])

"""DANN: a domain discriminator on the features, against which the backbone learns."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt
from torch import Tensor

from headstart.adaptation.adaptation import Adaptation, Head, Ramp, Side
from headstart.adaptation.domain_discriminator import Discriminator, domain_accuracy, domain_loss
from headstart.adaptation.gradient_reversal import reversed_gradient


class DANN(Adaptation):
    """The discriminator's loss on features whose gradient is reversed on its way to the backbone.

    The discriminator learns at full strength, the backbone against it at `strength`. Ganin et al. 2016,
    Domain-Adversarial Training of Neural Networks (arXiv:1505.07818).

    Args:
        weight: As of any adaptation.
        ramp: As of any adaptation.
        hidden: The width of the discriminator's two layers.
    """

    measures: tuple[str, ...] = ("domain_accuracy",)

    def __init__(self, *, weight: Annotated[float, Ge(0)], ramp: Ramp, hidden: Annotated[int, Gt(0)]) -> None:
        super().__init__(weight=weight, ramp=ramp)
        self.hidden = hidden

    def prepare(self, *, width: int, num_classes: int, source_classes: int) -> None:
        self.discriminator = Discriminator(width, hidden=self.hidden)

    def forward(self, *, source: Side, target: Side, head: Head, strength: float) -> Tensor:
        of_source, of_target = (
            self.discriminator(reversed_gradient(side.features, strength)) for side in (source, target)
        )
        self.metrics = {"domain_accuracy": domain_accuracy(of_source, of_target).detach()}
        return domain_loss(of_source, of_target)

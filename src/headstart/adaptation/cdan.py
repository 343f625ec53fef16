"""CDAN: a domain discriminator on the product of features and class probabilities."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from headstart.adaptation.adaptation import Adaptation, Head, Ramp, Side
from headstart.adaptation.domain_discriminator import Discriminator, domain_accuracy, domain_loss
from headstart.adaptation.gradient_reversal import reversed_gradient


class CDAN(Adaptation):
    """DANN whose discriminator sees the outer product of features and class probabilities.

    Long et al. 2018, Conditional Adversarial Domain Adaptation (arXiv:1705.10667), eqs. 4 to 7. Probabilities are
    detached: only features learn against the discriminator.

    Args:
        weight: As of any adaptation.
        ramp: As of any adaptation.
        hidden: The width of the discriminator's two layers.
        entropy: Whether each image is weighted by 1 + exp(-H(g)), detached, so that images of which the model is
            certain count more (CDAN+E).
        product_limit: Where the product of both widths is above it, the outer product is replaced by
            (R_f f) * (R_g g) / sqrt(random_width), with fixed normal R_f and R_g.
        random_width: The width of R_f f and R_g g.
    """

    measures = ("domain_accuracy",)

    features_map: Tensor
    classes_map: Tensor

    def __init__(
        self,
        *,
        weight: Annotated[float, Ge(0)],
        ramp: Ramp,
        hidden: Annotated[int, Gt(0)],
        entropy: bool,
        product_limit: Annotated[int, Gt(0)],
        random_width: Annotated[int, Gt(0)],
    ) -> None:
        super().__init__(weight=weight, ramp=ramp)
        self.hidden, self.entropy = hidden, entropy
        self.product_limit, self.random_width = product_limit, random_width

    @property
    def option(self) -> str:
        return "cdan_e" if self.entropy else "cdan"

    def prepare(self, *, width: int, num_classes: int, source_classes: int) -> None:
        self.is_random = width * num_classes > self.product_limit
        if self.is_random:
            self.register_buffer("features_map", torch.randn(width, self.random_width))
            self.register_buffer("classes_map", torch.randn(num_classes, self.random_width))
        self.discriminator = Discriminator(
            self.random_width if self.is_random else width * num_classes, hidden=self.hidden
        )

    def forward(self, *, source: Side, target: Side, head: Head, strength: float) -> Tensor:
        probabilities = [side.logits.detach().float().softmax(dim=1) for side in (source, target)]
        of_source, of_target = (
            self.discriminator(self._joint(reversed_gradient(side.features, strength), probability))
            for side, probability in zip((source, target), probabilities, strict=True)
        )
        self.metrics = {"domain_accuracy": domain_accuracy(of_source, of_target).detach()}
        weights = [certainty(probability) if self.entropy else None for probability in probabilities]
        return domain_loss(of_source, of_target, *weights)

    def _joint(self, features: Tensor, probability: Tensor) -> Tensor:
        if not self.is_random:
            return outer(features, probability)
        product = (features @ self.features_map) * (probability.to(features.dtype) @ self.classes_map)
        return product / math.sqrt(self.random_width)


def outer(features: Tensor, probability: Tensor) -> Tensor:
    """Features (B, D), probabilities (B, C) -> all products of the two (B, C * D)."""
    return (probability.to(features.dtype)[:, :, None] * features[:, None, :]).flatten(1)


def certainty(probability: Tensor) -> Tensor:
    """1 + exp(-H) of probabilities (B, C) -> (B,): 2 where the model is sure, 1 + 1/C where it guesses."""
    return 1 + torch.exp(-entropy_of(probability))


def entropy_of(probability: Tensor) -> Tensor:
    """The Shannon entropy, in nats, of probabilities (B, C) -> (B,)."""
    # torch.special.entr has an infinite slope where a softmax has underflowed to 0, and the product with its 0 is nan
    return -(probability * probability.clamp(min=torch.finfo(probability.dtype).tiny).log()).sum(dim=1)

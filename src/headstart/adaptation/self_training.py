"""Self-training: cross-entropy of target images with the class that the model predicts."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Interval
from torch import Tensor
from torch.nn.functional import cross_entropy

from headstart.adaptation.adaptation import Adaptation, Head, Ramp, Side


class SelfTraining(Adaptation):
    """strength * the cross-entropy of target images with the class that is likeliest to the model now.

    Lee 2013, Pseudo-Label (ICML workshop on challenges in representation learning), eqs. 14 to 16, of which
    ramp=linear is the last.

    Args:
        weight: As of any adaptation.
        ramp: As of any adaptation.
        confidence: Images whose likeliest class has a smaller probability add nothing to the sum, and count in the
            mean all the same; at 0 all are used, as in the paper.
    """

    reads_target_alone = True
    measures = ("used_share", "confidence")

    def __init__(
        self,
        *,
        weight: Annotated[float, Ge(0)],
        ramp: Ramp,
        confidence: Annotated[float, Interval(ge=0, le=1)],
    ) -> None:
        super().__init__(weight=weight, ramp=ramp)
        self.confidence = confidence

    def forward(self, *, source: Side, target: Side, head: Head, strength: float) -> Tensor:
        logits = target.logits.float()
        sureness, said = logits.detach().softmax(dim=1).max(dim=1)
        used = (sureness >= self.confidence).float()
        self.metrics = {"used_share": used.mean(), "confidence": sureness.mean()}
        return strength * (used * cross_entropy(logits, said, reduction="none")).mean()

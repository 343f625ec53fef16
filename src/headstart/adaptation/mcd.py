"""MCD: discrepancy of two heads on the target that agree on the source."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from headstart.adaptation.adaptation import Adaptation, Head, Side
from headstart.adaptation.gradient_reversal import reversed_gradient


class MCD(Adaptation):
    """The second head's loss on the source, less the discrepancy of both heads on the target.

    Saito et al. 2018, Maximum Classifier Discrepancy (arXiv:1712.02560), eqs. 2 to 9. There, heads and backbone take
    turns and the backbone several steps in each; here a reversed gradient of `strength` lets both learn in one step:
    the heads to disagree, the backbone to leave them no room. What is predicted is the first head's.
    """

    measures = ("discrepancy",)

    def prepare(self, *, width: int, num_classes: int, source_classes: int) -> None:
        self.second = nn.Linear(width, num_classes)

    def forward(self, *, source: Side, target: Side, head: Head, strength: float) -> Tensor:
        assert source.label is not None
        features = reversed_gradient(target.features, strength)
        gap = discrepancy(head(features).float().softmax(dim=1), self.second(features).float().softmax(dim=1))
        self.metrics = {"discrepancy": gap.detach()}
        return cross_entropy(self.second(source.features), source.label) - gap


def discrepancy(one: Tensor, other: Tensor) -> Tensor:
    """The mean absolute difference of probabilities (B, C) and (B, C), 0 to 2 / C. Saito et al. 2018, eq. 2."""
    return (one - other).abs().mean()

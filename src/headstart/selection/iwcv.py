"""IWCV: importance-weighted loss of the source."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Gt
from torch import Tensor
from torch.nn.functional import cross_entropy

from headstart.selection.score_inputs import Sides
from headstart.selection.selection import Score


class IWCV(Score):
    """iwcv() of the cross-entropy on the source's val.

    Args:
        strength: Of the density ratio (selection/density_ratio.py).
    """

    metric = "target/iwcv"
    mode = "min"
    weighs = True

    def __init__(self, *, strength: Annotated[float, Gt(0)] = 0.01) -> None:
        self.strength = strength

    def __call__(self, sides: Sides) -> float:
        return float(iwcv(losses(sides), sides.weights(strength=self.strength)))


def iwcv(loss: Tensor, weight: Tensor) -> Tensor:
    """The mean of weight * loss, both (N,) -> scalar.

    Sugiyama et al. 2007, Covariate Shift Adaptation by Importance Weighted Cross Validation (JMLR 8).
    """
    return (weight * loss).mean()


def losses(sides: Sides) -> Tensor:
    """The cross-entropy of each image of the source's val (N,), float64."""
    assert sides.source_val.label is not None
    return cross_entropy(sides.source_val.logits.double(), sides.source_val.label, reduction="none")

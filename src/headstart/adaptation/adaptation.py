"""What is a term of the loss that lets a source and a target learn from each other?"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge, Interval
from torch import Tensor, nn

Ramp = Literal["constant", "sigmoid"]
Head = Callable[[Tensor], Tensor]  # features (B, D) -> logits (B, classes)


class Side(NamedTuple):
    """What the model makes of one domain's images."""

    features: Tensor  # (B, D)
    logits: Tensor  # (B, classes), the model's own head's
    label: Tensor | None  # (B,), None where they are hidden


class Adaptation(nn.Module):
    """Gives a scalar for each pair of batches; the networks that it trains besides are its own.

    weight: how strongly it acts on the backbone, at ramp=constant in every step; ramp=sigmoid lets it grow with the
    progress p of the run as 2 / (1 + exp(-10 p)) - 1 (Ganin et al. 2016, section 5.2.2). prepare is called once, when
    the widths are known; forward in each training step, and leaves what it found besides in `figures`, for the logs.

    main: whose labelled images the run is about. `source`: training batches, validation and the selection of the best
    are the source's, the test is the target's, whose training images come along with their labels hidden. `target`: all
    is the target's, and the source's labelled images come along.
    """

    main: Literal["source", "target"] = "source"
    reads_companion = True  # False: forward is not called, and what comes along is not looked at
    learns_labels = True  # whether the cross-entropy of the main images is in the loss
    measures: tuple[str, ...] = ()  # the names in figures

    def __init__(self, *, weight: Annotated[float, Ge(0)], ramp: Ramp) -> None:
        super().__init__()
        self.weight, self.ramp = weight, ramp
        self.figures: dict[str, Tensor] = {}

    def prepare(self, *, width: int, num_classes: int, source_classes: int) -> None:
        """Make the networks that need to know how many features and classes there are."""

    def strength(self, progress: Annotated[float, Interval(ge=0, le=1)]) -> float:
        """The weight at this share of the run's optimizer steps."""
        return self.weight * (sigmoid_ramp(progress) if self.ramp == "sigmoid" else 1.0)

    def forward(self, *, source: Side, target: Side, head: Head, strength: float) -> Tensor:
        """What a pair of batches adds to the loss, scalar; the two may have unequally many images."""
        raise NotImplementedError


def sigmoid_ramp(progress: float) -> float:
    """2 / (1 + exp(-10 p)) - 1: 0 at the beginning, 0.9999 at the end. Ganin et al. 2016 (arXiv:1505.07818)."""
    return 2 / (1 + math.exp(-10 * progress)) - 1

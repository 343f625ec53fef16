"""The contract of a selection: a metric that picks the best checkpoint without labels of the target."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from headstart.selection.score_inputs import Sides


class Selection(ABC):
    """A metric that each validation logs.

    Attributes:
        metric: The tag of the metric.
        mode: Whether a larger or a smaller value is better.
    """

    metric: ClassVar[str]
    mode: ClassVar[Literal["max", "min"]]


class Score(Selection):
    """A metric of the predictions on both domains, without labels of the target; its tag is `target/...`.

    It compares trained models: a random head can have the best value by accident.

    Attributes:
        weighs: Whether it asks for Sides.weights, which are made of the source's training images.
    """

    weighs: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, sides: Sides) -> float:
        """The value; nan where features or logits are not finite."""

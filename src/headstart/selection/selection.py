"""What is a figure by which the best checkpoint is chosen where the target's labels are out of reach?"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from headstart.selection.domain_predictions import Sides


class Selection(ABC):
    """A figure that each validation logs.

    figure: its tag. mode: whether more of it is better.
    """

    figure: ClassVar[str]
    mode: ClassVar[Literal["max", "min"]]


class Score(Selection):
    """One that is made of what the model says of both domains, with no label of the target; `target/...` is its tag.

    weighs: whether it asks for Sides.weights, which are made of the source's training images. It compares models that
    have learnt: what is known of none, as a random head has it, can look like the best.
    """

    weighs: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, sides: Sides) -> float:
        """The figure; nan where features or logits are not finite."""

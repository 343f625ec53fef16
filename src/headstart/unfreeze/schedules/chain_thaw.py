"""Chain-thaw: the head alone, each stage alone, then the whole model.

Felbo et al. 2017, Using millions of emoji occurrences ... (arXiv:1708.00524), section 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from headstart.unfreeze.schedules.schedule_phases import Phase, Plateau


@dataclass(frozen=True, kw_only=True)
class ChainThaw:
    """The new head alone, then each stage alone from the input to the head, then all parts to the end.

    The paper trains each phase to convergence on val and goes back to its best weights (`return_to_best`).

    Args:
        until: When the phase of one part ends.
        warmup_steps: Optimizer steps over which the learning rate of newly trainable parts rises from 0.
    """

    until: Plateau
    warmup_steps: Annotated[int, Ge(0)] = 0

    def phases(self, parts: Sequence[str]) -> tuple[Phase, ...]:
        alone = [
            Phase(name=part, trainable=(part,), until=self.until, warmup_steps=self.warmup_steps)
            for part in (parts[-1], *parts[:-1])
        ]
        return (*alone, Phase(name="all", trainable=tuple(parts), warmup_steps=self.warmup_steps))

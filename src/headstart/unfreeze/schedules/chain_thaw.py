"""Which stages are open if each learns alone, one after the other, and all of them at the end?

Felbo et al. 2017, Using millions of emoji occurrences ... (arXiv:1708.00524), section 3.3: chain-thaw.
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

    until: when a figure counts as stalled; the paper trains each to convergence on val and goes back to its best
    weights (return_to_best).
    """

    until: Plateau
    warmup_steps: Annotated[int, Ge(0)] = 0

    def phases(self, parts: Sequence[str]) -> tuple[Phase, ...]:
        alone = [
            Phase(name=part, open=(part,), until=self.until, warmup_steps=self.warmup_steps)
            for part in (parts[-1], *parts[:-1])
        ]
        return (*alone, Phase(name="all", open=tuple(parts), warmup_steps=self.warmup_steps))

"""Which stages are open if what comes from a source never learns?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headstart.unfreeze.schedules.schedule_phases import Phase


@dataclass(frozen=True, kw_only=True)
class Fresh:
    """What is above the first `kept` stages, head included, for the whole run; None = they are all kept.

    Networks AnB and BnB of Yosinski et al. 2014, How transferable are features in deep neural networks?
    (arXiv:1411.1792, section 2).
    """

    kept: int | None

    def phases(self, parts: Sequence[str]) -> tuple[Phase, ...]:
        stages = len(parts) - 1  # the last part is the head
        chosen = tuple(parts[min(stages if self.kept is None else self.kept, stages) :])
        return (Phase(name=chosen[0] if len(chosen) == 1 else f"{chosen[0]} and above", open=chosen),)

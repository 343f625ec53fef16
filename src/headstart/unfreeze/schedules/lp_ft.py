"""Which stages are open if the head is probed first and everything fine-tuned then?

Kumar et al. 2022, Fine-tuning can distort pretrained features (arXiv:2202.10054): LP-FT.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt

from headstart.unfreeze.schedules.schedule_phases import Phase, Plateau


@dataclass(frozen=True, kw_only=True)
class LpFt:
    """The head alone until a figure stalls (has converged), then all parts to the end of the run.

    until: which figure, and when it counts as stalled. lr: the head's rate in the second phase, which the paper
    takes lower than the probe's; None = the same.
    """

    until: Plateau
    warmup_steps: Annotated[int, Ge(0)] = 0
    lr: Annotated[float, Gt(0)] | None = None

    def phases(self, parts: Sequence[str]) -> tuple[Phase, ...]:
        probe = Phase(name="probe", open=(parts[-1],), until=self.until)
        return probe, Phase(name="fine-tune", open=tuple(parts), lr=self.lr, warmup_steps=self.warmup_steps)

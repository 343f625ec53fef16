"""LP-FT: a linear probe first, then fine-tuning of the whole model.

Kumar et al. 2022, Fine-tuning can distort pretrained features (arXiv:2202.10054).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt

from headstart.unfreeze.schedules.schedule_phases import Phase, Plateau


@dataclass(frozen=True, kw_only=True)
class LpFt:
    """The head alone until the monitored metric stalls, then all parts to the end of the run.

    Args:
        until: The monitored metric, and when it counts as stalled.
        warmup_steps: Optimizer steps over which the learning rate of the stages rises from 0.
        lr: Learning rate of the head in the second phase, in the paper lower than the probe's; None means the same.
    """

    until: Plateau
    warmup_steps: Annotated[int, Ge(0)] = 0
    lr: Annotated[float, Gt(0)] | None = None

    def phases(self, parts: Sequence[str]) -> tuple[Phase, ...]:
        probe = Phase(name="probe", trainable=(parts[-1],), until=self.until)
        return probe, Phase(name="fine-tune", trainable=tuple(parts), lr=self.lr, warmup_steps=self.warmup_steps)

"""Which parameters are open if beside the head only those of one kind ever learn?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from headstart.unfreeze.schedules.schedule_phases import Phase


@dataclass(frozen=True, kw_only=True)
class OneKind:
    """The head and, in all stages, the biases, the norms' affine parameters or the adapters, for the whole run.

    Biases: Ben Zaken et al. 2022, BitFit (arXiv:2106.10199). Norms: Frankle et al. 2021, Training BatchNorm and Only
    BatchNorm (arXiv:2003.00152), there from random weights. Adapters: what `inject` puts
    in (backbones/injected/lora.py, adapters.py).
    """

    kind: Literal["biases", "norms", "adapters"]

    def phases(self, parts: Sequence[str]) -> tuple[Phase, ...]:
        return (Phase(name=self.kind, open=(self.kind, parts[-1])),)

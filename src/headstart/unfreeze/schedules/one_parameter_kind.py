"""The head and one kind of the stages' parameters for the whole run: biases, norms or adapters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from headstart.unfreeze.schedules.schedule_phases import Phase


@dataclass(frozen=True, kw_only=True)
class OneParameterKind:
    """The head and, in all stages, the parameters of one kind, for the whole run.

    Biases: Ben Zaken et al. 2022, BitFit (arXiv:2106.10199). Norms: Frankle et al. 2021, Training BatchNorm and Only
    BatchNorm (arXiv:2003.00152), there from random weights. Adapters: what `inject` adds to the backbone
    (backbones/injected/lora.py, adapters.py).

    Args:
        kind: The biases, the affine parameters of norms, or the adapters.
    """

    kind: Literal["biases", "norms", "adapters"]

    def phases(self, parts: Sequence[str]) -> tuple[Phase, ...]:
        return (Phase(name=self.kind, trainable=(self.kind, parts[-1])),)

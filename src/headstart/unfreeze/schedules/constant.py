"""Which stages are open if nothing ever changes?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headstart.unfreeze.schedules.schedule_phases import Phase


@dataclass(frozen=True, kw_only=True)
class Whole:
    """The same parts for the whole run: all of them, or the head alone. head_only: which of the two."""

    head_only: bool = False

    def phases(self, parts: Sequence[str]) -> tuple[Phase, ...]:
        chosen = parts[-1:] if self.head_only else parts
        return (Phase(name=parts[-1] if self.head_only else "all", open=tuple(chosen)),)

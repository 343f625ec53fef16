"""The same trainable parts for the whole run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headstart.unfreeze.schedules.schedule_phases import Phase


@dataclass(frozen=True, kw_only=True)
class Constant:
    """All parts, or the head alone, for the whole run.

    Args:
        head_only: Whether the head alone is trainable.
    """

    head_only: bool = False

    def phases(self, parts: Sequence[str]) -> tuple[Phase, ...]:
        trainable = parts[-1:] if self.head_only else parts
        return (Phase(name=parts[-1] if self.head_only else "all", trainable=tuple(trainable)),)

"""A schedule whose head stays frozen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from headstart.types import UserError
from headstart.unfreeze.reserved_names import ALL
from headstart.unfreeze.schedules.schedule_phases import Phase, Schedule


@dataclass(frozen=True, kw_only=True)
class WithoutHead:
    """The phases of a schedule with a frozen head.

    A phase in which nothing would be trainable is left out.

    Args:
        schedule: The schedule with a trainable head.
        instead: Selectors of the parameters that are trainable in place of the head.
    """

    schedule: Schedule
    instead: tuple[str, ...] = ()

    def phases(self, parts: Sequence[str]) -> tuple[Phase, ...]:
        """The phases. Raises UserError where nothing would be trainable in any of them."""
        narrowed = [(phase, self._narrowed(phase.trainable, parts)) for phase in self.schedule.phases(parts)]
        remaining = tuple(replace(phase, name=phase.title, trainable=chosen) for phase, chosen in narrowed if chosen)
        if not remaining:
            raise UserError(
                "the head stays the source's with this adaptation, and nothing else would learn; try mode=fine_tuning"
            )
        return remaining

    def _narrowed(self, selectors: Sequence[str], parts: Sequence[str]) -> tuple[str, ...]:
        head = parts[-1]
        whole = [name for text in selectors for name in (parts if text == ALL else (text,))]
        return tuple(dict.fromkeys(name for text in whole for name in (self.instead if text == head else (text,))))

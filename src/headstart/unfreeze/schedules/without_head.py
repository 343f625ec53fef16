"""What is open if a schedule is followed, but for the head?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from headstart.types import UserError
from headstart.unfreeze.reserved_names import ALL
from headstart.unfreeze.schedules.schedule_phases import Phase, Schedule


@dataclass(frozen=True, kw_only=True)
class WithoutHead:
    """A schedule's phases whose head stays as it is.

    instead: selectors of what is open in its place. A phase that would open nothing is left out. Raises UserError where
    none is left.
    """

    schedule: Schedule
    instead: tuple[str, ...] = ()

    def phases(self, parts: Sequence[str]) -> tuple[Phase, ...]:
        narrowed = [(phase, self._narrowed(phase.open, parts)) for phase in self.schedule.phases(parts)]
        left = tuple(replace(phase, name=phase.title, open=chosen) for phase, chosen in narrowed if chosen)
        if not left:
            raise UserError(
                "the head stays the source's with this adaptation, and nothing else would learn; try mode=fine_tuning"
            )
        return left

    def _narrowed(self, selectors: Sequence[str], parts: Sequence[str]) -> tuple[str, ...]:
        head = parts[-1]
        whole = [name for text in selectors for name in (parts if text == ALL else (text,))]
        return tuple(dict.fromkeys(name for text in whole for name in (self.instead if text == head else (text,))))

"""Which adapters are open if a schedule speaks of stages?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from headstart.unfreeze.reserved_names import ADAPTERS, ALL, within
from headstart.unfreeze.schedules.schedule_phases import Phase, Schedule


@dataclass(frozen=True, kw_only=True)
class StageAdapters:
    """A schedule's phases, each stage in them standing for the adapters in it.

    stages: those that have adapters. A phase that would open nothing is left out.
    """

    schedule: Schedule
    stages: tuple[str, ...]

    def phases(self, parts: Sequence[str]) -> tuple[Phase, ...]:
        narrowed = [(phase, self._narrowed(phase.open, parts)) for phase in self.schedule.phases(parts)]
        return tuple(replace(phase, name=phase.title, open=chosen) for phase, chosen in narrowed if chosen)

    def _narrowed(self, selectors: Sequence[str], parts: Sequence[str]) -> tuple[str, ...]:
        head = parts[-1]
        whole = [name for text in selectors for name in ((ADAPTERS, head) if text == ALL else (text,))]
        return tuple(
            within(name, ADAPTERS) if name in self.stages else name
            for name in dict.fromkeys(whole)
            if name in self.stages or name not in parts[:-1]
        )

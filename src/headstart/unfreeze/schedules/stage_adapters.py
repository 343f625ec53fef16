"""A schedule of stages applied to the adapters in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from headstart.unfreeze.reserved_names import ADAPTERS, ALL, within
from headstart.unfreeze.schedules.schedule_phases import Phase, Schedule


@dataclass(frozen=True, kw_only=True)
class StageAdapters:
    """The phases of a schedule in which each stage stands for its adapters.

    A phase in which nothing would be trainable is left out.

    Args:
        schedule: The schedule of the stages.
        stages: The stages that have adapters.
    """

    schedule: Schedule
    stages: tuple[str, ...]

    def phases(self, parts: Sequence[str]) -> tuple[Phase, ...]:
        narrowed = [(phase, self._narrowed(phase.trainable, parts)) for phase in self.schedule.phases(parts)]
        return tuple(replace(phase, name=phase.title, trainable=chosen) for phase, chosen in narrowed if chosen)

    def _narrowed(self, selectors: Sequence[str], parts: Sequence[str]) -> tuple[str, ...]:
        head = parts[-1]
        whole = [name for text in selectors for name in ((ADAPTERS, head) if text == ALL else (text,))]
        return tuple(
            within(name, ADAPTERS) if name in self.stages else name
            for name in dict.fromkeys(whole)
            if name in self.stages or name not in parts[:-1]
        )

"""Which stages are open if one more opens every so often, from the head towards the input?

Howard & Ruder 2018 (ULMFiT, arXiv:1801.06146), section 3.3: the last layer first, one more each epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Interval

from headstart.unfreeze.schedules.schedule_phases import Phase, Plateau


@dataclass(frozen=True, kw_only=True)
class Gradual:
    """By epochs. first_epoch: when the stage next to the head opens, None for never; every_epochs: from one
    stage to the next, 0 opens all at first_epoch."""

    first_epoch: Annotated[int, Ge(0)] | None
    every_epochs: Annotated[int, Ge(0)]
    warmup_steps: Annotated[int, Ge(0)] = 0

    def phases(self, parts: Sequence[str]) -> tuple[Phase, ...]:
        return _one_by_one(parts, "epochs", self.first_epoch, self.every_epochs, self.warmup_steps)


@dataclass(frozen=True, kw_only=True)
class GradualBySteps:
    """By optimizer steps, also in the middle of an epoch. first_step: when the stage next to the head opens;
    every_steps: from one stage to the next, 0 opens all at first_step."""

    first_step: Annotated[int, Ge(0)]
    every_steps: Annotated[int, Ge(0)]
    warmup_steps: Annotated[int, Ge(0)] = 0

    def phases(self, parts: Sequence[str]) -> tuple[Phase, ...]:
        return _one_by_one(parts, "steps", self.first_step, self.every_steps, self.warmup_steps)


@dataclass(frozen=True, kw_only=True)
class GradualByFraction:
    """By the fraction of the run's optimizer steps. first: when the stage next to the head opens; every: from
    one stage to the next, 0 opens all at first."""

    first: Annotated[float, Interval(ge=0, le=1)]
    every: Annotated[float, Interval(ge=0, le=1)]
    warmup_steps: Annotated[int, Ge(0)] = 0

    def phases(self, parts: Sequence[str]) -> tuple[Phase, ...]:
        return _one_by_one(parts, "fraction", self.first, self.every, self.warmup_steps)


@dataclass(frozen=True, kw_only=True)
class GradualByPlateau:
    """When a figure stalls, one stage more opens. until: which figure, and when it counts as stalled."""

    until: Plateau
    warmup_steps: Annotated[int, Ge(0)] = 0

    def phases(self, parts: Sequence[str]) -> tuple[Phase, ...]:
        return tuple(
            _phase(parts, count, self.warmup_steps, until=self.until if count < len(parts) - 1 else None)
            for count in range(len(parts))
        )


def _one_by_one(
    parts: Sequence[str], unit: str, first: float | None, every: float, warmup_steps: int
) -> tuple[Phase, ...]:
    if first is None:
        return (_phase(parts, 0, warmup_steps),)
    stages = len(parts) - 1
    lengths = [(0, first)] + [(count, every) for count in range(1, stages) if every]
    phases = [_phase(parts, count, warmup_steps, **{unit: length}) for count, length in lengths if length]
    return (*phases, _phase(parts, stages, warmup_steps))


def _phase(parts: Sequence[str], count: int, warmup_steps: int, **length: Any) -> Phase:
    """The head and so many stages next to it."""
    title = parts[-1] if count == 0 else "all" if count == len(parts) - 1 else f"{parts[-1 - count]} and above"
    return Phase(name=title, open=tuple(parts[len(parts) - 1 - count :]), warmup_steps=warmup_steps, **length)

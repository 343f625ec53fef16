"""Gradual unfreezing: one more trainable stage every so often, from the head towards the input.

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
    """One stage more every few epochs.

    Args:
        first_epoch: When the stage next to the head becomes trainable; None means never.
        every_epochs: From one stage to the next; 0 makes all trainable at `first_epoch`.
        warmup_steps: Optimizer steps over which the learning rate of a new stage rises from 0.
    """

    first_epoch: Annotated[int, Ge(0)] | None
    every_epochs: Annotated[int, Ge(0)]
    warmup_steps: Annotated[int, Ge(0)] = 0

    def phases(self, parts: Sequence[str]) -> tuple[Phase, ...]:
        return _one_by_one(parts, "epochs", self.first_epoch, self.every_epochs, self.warmup_steps)


@dataclass(frozen=True, kw_only=True)
class GradualBySteps:
    """One stage more every few optimizer steps, also in the middle of an epoch.

    Args:
        first_step: When the stage next to the head becomes trainable.
        every_steps: From one stage to the next; 0 makes all trainable at `first_step`.
        warmup_steps: Optimizer steps over which the learning rate of a new stage rises from 0.
    """

    first_step: Annotated[int, Ge(0)]
    every_steps: Annotated[int, Ge(0)]
    warmup_steps: Annotated[int, Ge(0)] = 0

    def phases(self, parts: Sequence[str]) -> tuple[Phase, ...]:
        return _one_by_one(parts, "steps", self.first_step, self.every_steps, self.warmup_steps)


@dataclass(frozen=True, kw_only=True)
class GradualByFraction:
    """One stage more after each fraction of the run.

    Args:
        first: Fraction of the run's optimizer steps after which the stage next to the head becomes trainable.
        every: Fraction from one stage to the next; 0 makes all trainable at `first`.
        warmup_steps: Optimizer steps over which the learning rate of a new stage rises from 0.
    """

    first: Annotated[float, Interval(ge=0, le=1)]
    every: Annotated[float, Interval(ge=0, le=1)]
    warmup_steps: Annotated[int, Ge(0)] = 0

    def phases(self, parts: Sequence[str]) -> tuple[Phase, ...]:
        return _one_by_one(parts, "fraction", self.first, self.every, self.warmup_steps)


@dataclass(frozen=True, kw_only=True)
class GradualByPlateau:
    """One stage more whenever the monitored metric stalls.

    Args:
        until: The monitored metric, and when it counts as stalled.
        warmup_steps: Optimizer steps over which the learning rate of a new stage rises from 0.
    """

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
    """The phase in which the head and `count` stages next to it are trainable."""
    title = parts[-1] if count == 0 else "all" if count == len(parts) - 1 else f"{parts[-1 - count]} and above"
    return Phase(name=title, trainable=tuple(parts[len(parts) - 1 - count :]), warmup_steps=warmup_steps, **length)

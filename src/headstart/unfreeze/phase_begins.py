"""The earliest and the latest moment at which each phase of a schedule can begin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from headstart.types import UserError
from headstart.unfreeze.schedules.schedule_phases import Phase, Plateau


class Moment(NamedTuple):
    """A moment of a run: epochs begun and optimizer steps done before it."""

    epoch: int
    step: int


class PhaseBegin(NamedTuple):
    """The earliest and the latest moment at which a phase can begin; None means not before the run ends."""

    earliest: Moment | None
    latest: Moment | None


@dataclass(frozen=True, kw_only=True)
class RunLength:
    """How long a run is, and when it validates.

    Args:
        steps_per_epoch: Optimizer steps.
        epochs: The run ends after so many epochs, or after `max_steps` if that is earlier.
        max_steps: Optimizer steps.
        seconds: The run ends when they are over, if that is earlier; phases and rates end with it.
        validates_first: Whether it validates before the first step too.
        validates_every: Epochs from one with validations to the next.
        validations: In each such epoch, evenly spread, the last one at its end.
    """

    steps_per_epoch: int
    epochs: float = math.inf
    max_steps: float = math.inf
    seconds: float = math.inf
    validates_first: bool = False
    validates_every: int = 1
    validations: int = 1

    @property
    def steps(self) -> float:
        """Optimizer steps of the whole run."""
        return min(self.epochs * self.steps_per_epoch, self.max_steps)

    @property
    def end(self) -> Moment | None:
        """When it ends; None where that is not known."""
        return None if math.isinf(self.steps) else Moment(int(self.steps) // self.steps_per_epoch, int(self.steps))

    def at_epoch(self, epoch: int) -> Moment | None:
        """The start of an epoch; None where the run is shorter."""
        return self.at_step(epoch * self.steps_per_epoch)

    def at_step(self, step: int) -> Moment | None:
        """The moment after `step` optimizer steps; None where the run has no step after them."""
        return Moment(step // self.steps_per_epoch, step) if step < self.steps else None

    def validations_between(self, begin: Moment, epoch: int) -> int:
        """The number of validations after a moment and before an epoch's start."""
        whole = sum(self._validates(number) for number in range(begin.epoch, epoch))
        done = begin.step - begin.epoch * self.steps_per_epoch  # of the epoch in which it lies
        missed = done * self.validations // self.steps_per_epoch
        return whole * self.validations - (missed if epoch > begin.epoch and self._validates(begin.epoch) else 0)

    def _validates(self, epoch: int) -> bool:
        return (epoch + 1) % self.validates_every == 0


def begins(phases: Sequence[Phase], run: RunLength) -> tuple[PhaseBegin, ...]:
    """When each phase begins. The earliest and the latest moment differ only after a plateau.

    A plateau ends earliest where the monitored metric never improves.

    Args:
        phases: Of the schedule.
        run: The run's length.

    Raises:
        UserError: A phase lasts a fraction of a run whose length is not known.
    """
    begun = [PhaseBegin(Moment(0, 0), Moment(0, 0))]
    for phase in phases[:-1]:
        earliest, latest = begun[-1]
        begun.append(
            PhaseBegin(
                None if earliest is None else _after(phase, earliest, run, earliest=True),
                None if latest is None else _after(phase, latest, run, earliest=False),
            )
        )
    return tuple(begun)


def _after(phase: Phase, begin: Moment, run: RunLength, *, earliest: bool) -> Moment | None:
    """When a phase that begins at a moment ends."""
    if phase.steps is not None:
        return run.at_step(begin.step + phase.steps)
    if phase.fraction is not None:
        if math.isinf(run.steps):
            raise UserError("a phase by fraction needs a run of known length; set trainer.max_epochs or max_steps")
        return run.at_step(begin.step + round(phase.fraction * run.steps))
    at_start = begin.step == begin.epoch * run.steps_per_epoch  # else it can end only at the next epoch's start
    if phase.epochs is not None:
        return run.at_epoch(max(begin.epoch + phase.epochs, begin.epoch + (not at_start)))
    assert phase.until is not None
    epochs = _epochs_to_stall(phase.until, begin, run) if earliest else phase.until.max_epochs
    return None if epochs is None else run.at_epoch(begin.epoch + epochs)


def _epochs_to_stall(plateau: Plateau, begin: Moment, run: RunLength) -> int | None:
    """Epochs of a phase whose monitored metric never improves; None where the run ends before it counts as stalled."""
    if not run.validations:
        return plateau.max_epochs
    measured_before = run.validates_first or run.validations_between(Moment(0, 0), begin.epoch) > 0
    needed = plateau.patience + (not measured_before)  # the first value of the metric cannot stall
    epochs = max(1, plateau.min_epochs)
    while run.validations_between(begin, begin.epoch + epochs) < needed:
        if epochs == plateau.max_epochs:
            break
        if run.at_epoch(begin.epoch + epochs) is None:
            return None
        epochs += 1
    return epochs

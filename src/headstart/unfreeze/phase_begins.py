"""When does each phase of a schedule begin, as far as that is known before the run?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from headstart.types import UserError
from headstart.unfreeze.schedules.schedule_phases import Phase, Plateau


class Moment(NamedTuple):
    """A point of a run: epochs begun before it and optimizer steps done before it."""

    epoch: int
    step: int


class Begin(NamedTuple):
    """The first and the last moment at which a phase can begin; None = not before the run ends."""

    earliest: Moment | None
    latest: Moment | None


@dataclass(frozen=True, kw_only=True)
class Run:
    """How long a run is, and when it validates.

    steps_per_epoch: optimizer steps. epochs, max_steps: whichever comes first ends the run. validates_first:
    before the first step, too. validates_every: epochs from one with validations to the next; validations: in
    each of those, evenly spread, the last at its end.
    """

    steps_per_epoch: int
    epochs: float = math.inf
    max_steps: float = math.inf
    validates_first: bool = False
    validates_every: int = 1
    validations: int = 1

    @property
    def steps(self) -> float:
        """Optimizer steps of the whole run."""
        return min(self.epochs * self.steps_per_epoch, self.max_steps)

    @property
    def end(self) -> Moment | None:
        """When it ends, None = nobody knows."""
        return None if math.isinf(self.steps) else Moment(int(self.steps) // self.steps_per_epoch, int(self.steps))

    def at_epoch(self, epoch: int) -> Moment | None:
        """The start of an epoch, None where the run has none of that number."""
        return self.at_step(epoch * self.steps_per_epoch)

    def at_step(self, step: int) -> Moment | None:
        """When so many optimizer steps are done, None where the run has no step after them."""
        return Moment(step // self.steps_per_epoch, step) if step < self.steps else None

    def validations_between(self, begin: Moment, epoch: int) -> int:
        """How many validations come after a moment and before an epoch's start."""
        whole = sum(self._validates(number) for number in range(begin.epoch, epoch))
        done = begin.step - begin.epoch * self.steps_per_epoch  # of the epoch in which it lies
        missed = done * self.validations // self.steps_per_epoch
        return whole * self.validations - (missed if epoch > begin.epoch and self._validates(begin.epoch) else 0)

    def _validates(self, epoch: int) -> bool:
        return (epoch + 1) % self.validates_every == 0


def begins(phases: Sequence[Phase], run: Run) -> tuple[Begin, ...]:
    """When each phase begins: the earliest and the latest moment are the same but after a plateau.

    The earliest end of a plateau is that of a figure which never gets better. Raises UserError where a phase
    lasts a fraction of a run without an end.
    """
    found = [Begin(Moment(0, 0), Moment(0, 0))]
    for phase in phases[:-1]:
        earliest, latest = found[-1]
        found.append(
            Begin(
                None if earliest is None else _after(phase, earliest, run, earliest=True),
                None if latest is None else _after(phase, latest, run, earliest=False),
            )
        )
    return tuple(found)


def _after(phase: Phase, begin: Moment, run: Run, *, earliest: bool) -> Moment | None:
    """When a phase that begins at a moment is over."""
    if phase.steps is not None:
        return run.at_step(begin.step + phase.steps)
    if phase.fraction is not None:
        if math.isinf(run.steps):
            raise UserError("a phase by fraction needs a run of known length; set trainer.max_epochs or max_steps")
        return run.at_step(begin.step + round(phase.fraction * run.steps))
    at_start = begin.step == begin.epoch * run.steps_per_epoch  # else it is looked at only at the next epoch's start
    if phase.epochs is not None:
        return run.at_epoch(max(begin.epoch + phase.epochs, begin.epoch + (not at_start)))
    assert phase.until is not None
    epochs = _epochs_to_stall(phase.until, begin, run) if earliest else phase.until.max_epochs
    return None if epochs is None else run.at_epoch(begin.epoch + epochs)


def _epochs_to_stall(plateau: Plateau, begin: Moment, run: Run) -> int | None:
    """Epochs of a phase in which the figure never gets better; None where the run ends before it counts as stalled."""
    if not run.validations:
        return plateau.max_epochs
    seen = run.validates_first or run.validations_between(Moment(0, 0), begin.epoch) > 0
    needed = plateau.patience + (not seen)  # the phase's first figure stalls on none
    epochs = max(1, plateau.min_epochs)
    while run.validations_between(begin, begin.epoch + epochs) < needed:
        if epochs == plateau.max_epochs:
            break
        if run.at_epoch(begin.epoch + epochs) is None:
            return None
        epochs += 1
    return epochs

"""A schedule for a shorter run, with each phase shortened by the same factor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from annotated_types import Gt

from headstart.unfreeze.schedules.schedule_phases import Phase, Plateau, Schedule


@dataclass(frozen=True, kw_only=True)
class Shortened:
    """The phases of a schedule in a run that is shorter than the one that it was written for.

    A phase of epochs becomes one of the same fraction of the run, which can end in mid-epoch. A phase of optimizer
    steps, and a warm-up, keep their share, one step at least. A plateau waits for its share of validations and epochs,
    one at least; as it ends at an epoch's start only, a very short run may still end before the last phase.

    Args:
        schedule: The schedule of the full run.
        share: The length of the short run over that of the full run.
        epochs: Of the full run; None where its length is a number of steps.
        validations: Validations of the short run over those of the full run.
    """

    schedule: Schedule
    share: Annotated[float, Gt(0)]
    epochs: Annotated[int, Gt(0)] | None
    validations: Annotated[float, Gt(0)]

    def phases(self, parts: Sequence[str]) -> tuple[Phase, ...]:
        return tuple(self._shorter(phase) for phase in self.schedule.phases(parts))

    def _shorter(self, phase: Phase) -> Phase:
        warmup_steps = shorter(phase.warmup_steps, self.share)
        if phase.epochs is not None and self.epochs is not None:
            fraction = min(1.0, phase.epochs / self.epochs)
            return replace(phase, epochs=None, fraction=fraction, warmup_steps=warmup_steps)
        return replace(
            phase,
            epochs=None if phase.epochs is None else shorter(phase.epochs, self.share),
            steps=None if phase.steps is None else shorter(phase.steps, self.share),
            until=None if phase.until is None else self._sooner(phase.until),
            warmup_steps=warmup_steps,
        )

    def _sooner(self, until: Plateau) -> Plateau:
        least = int(self.share * until.min_epochs)
        most = None if until.max_epochs is None else max(1, least, int(self.share * until.max_epochs))
        patience = max(1, round(self.validations * until.patience))
        return replace(until, patience=patience, min_epochs=least, max_epochs=most)


def shorter(length: int, share: float) -> int:
    """The share of a length, at least 1; 0 stays 0."""
    return max(1, round(share * length)) if length else 0

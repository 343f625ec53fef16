"""Images, seconds and memory of each phase of a run, as result.json lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple


class Totals(NamedTuple):
    """All that has been counted up to a moment: seconds, images and optimizer steps."""

    now: float
    waiting: float = 0.0
    computing: float = 0.0
    validating: float = 0.0
    filling: float = 0.0
    examples: int = 0
    steps: int = 0


EARLIER_FIELDS = {"open": "trainable", "store_s": "cache_s"}  # in checkpoints of earlier versions -> now


@dataclass
class PhaseAccount:
    """Seconds of this process, images of all ranks, and memory that one phase has taken so far."""

    phase: str
    trainable: list[str] = field(default_factory=list)  # parts
    steps: int = 0
    images: int = 0
    train_s: float = 0.0  # all but what is validation or filling the store
    step_s: float = 0.0  # of it: forward and backward pass, the optimizer's step and what happens in them
    wait_s: float = 0.0  # of it: for the next batch
    validation_s: float = 0.0  # the measurements before the first step too
    cache_s: float = 0.0  # filling the feature cache
    peak_memory_mib: float | None = None

    @classmethod
    def of_checkpoint(cls, state: Mapping[str, Any]) -> PhaseAccount:
        """The account that a checkpoint holds, of this version or an earlier one."""
        return cls(**{EARLIER_FIELDS.get(name, name): value for name, value in state.items()})

    def add(self, before: Totals, after: Totals) -> None:
        """Count what lies between two moments."""
        validating, filling = after.validating - before.validating, after.filling - before.filling
        self.steps += after.steps - before.steps
        self.images += after.examples - before.examples
        self.train_s += after.now - before.now - validating - filling
        self.step_s += after.computing - before.computing
        self.wait_s += after.waiting - before.waiting
        self.validation_s += validating
        self.cache_s += filling

    def see(self, memory_mib: float | None) -> None:
        """Take note of the memory that was held at some time."""
        self.peak_memory_mib = largest_of([self.peak_memory_mib, memory_mib])

    def record(self, steps_per_epoch: float) -> dict[str, Any]:
        """As it stands in result.json."""
        # the cache's seconds are rounded, so that what is left can be a little below nothing
        seconds = {name: round(max(0.0, getattr(self, name)), 4) for name in SECONDS}
        return {
            "phase": self.phase,
            "trainable": self.trainable,
            "epochs": round(self.steps / steps_per_epoch, 4) if steps_per_epoch else 0.0,
            "steps": self.steps,
            "images": self.images,
            **seconds,
            "images_per_s": round(self.images / self.train_s, 2) if self.train_s > 0 else None,
            "wait_share": round(max(0.0, self.wait_s) / self.train_s, 4) if self.train_s > 0 else None,
            "peak_memory_mib": self.peak_memory_mib,
        }


SECONDS = tuple(entry.name for entry in fields(PhaseAccount) if entry.name.endswith("_s"))


def largest_of(values: list[float | None]) -> float | None:
    """The largest that is known; None where none is."""
    return max((value for value in values if value is not None), default=None)


def merged(ranks: list[PhaseAccount]) -> PhaseAccount:
    """One account of a phase, made of those of all ranks: their largest seconds and memory."""
    account = PhaseAccount(ranks[0].phase, ranks[0].trainable, steps=ranks[0].steps, images=ranks[0].images)
    for name in SECONDS:
        setattr(account, name, max(getattr(rank, name) for rank in ranks))
    account.peak_memory_mib = largest_of([rank.peak_memory_mib for rank in ranks])
    return account

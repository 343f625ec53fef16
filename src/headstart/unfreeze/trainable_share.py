"""The share of a model's parameters that a run trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from headstart.unfreeze.batch_norm_policy import what_learns
from headstart.unfreeze.part_names import ModelParts
from headstart.unfreeze.schedules.schedule_phases import Phase


@dataclass(frozen=True)
class TrainableShare:
    """The parameters that are trainable in one phase at least, and all of them.

    Args:
        learning: Count of those that are trainable at some time.
        of: Count of all.
    """

    learning: int
    of: int

    def __str__(self) -> str:
        return f"learns {_percent(self.learning, self.of)} % of {_count(self.of)} parameters"


def share_of(module: nn.Module, parts: ModelParts, phases: Sequence[Phase]) -> TrainableShare:
    """The trainable share of a module over all phases.

    A parameter that is frozen before the run stays frozen.

    Args:
        module: Before a strategy shards it.
        parts: Of the module.
        phases: Of the run.
    """
    trainable = frozenset[str]().union(*(what_learns(module, parts, phase).parameters for phase in phases))
    sizes = {name: parameter.numel() for name, parameter in module.named_parameters()}
    learning = sum(sizes[name] for name, p in module.named_parameters() if name in trainable and p.requires_grad)
    return TrainableShare(learning, sum(sizes.values()))


def _percent(part: int, whole: int) -> str:
    """A percentage with two significant digits; 100 only for the whole."""
    share = 100 * part / (whole or 1)
    if part == whole:
        return "100"
    return f"{min(share, 99.9):.1f}" if share >= 1 else f"{share:.2g}"


def _count(number: int) -> str:
    for size, word in ((10**9, "billion"), (10**6, "million")):
        if number >= size:
            return f"{number / size:.1f} {word}"
    return f"{number:,}"

"""How much of a model learns in a run?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from headstart.unfreeze.part_names import Parts
from headstart.unfreeze.schedules.schedule_phases import Phase


@dataclass(frozen=True)
class Share:
    """The parameters that learn in one phase at least, and those that there are."""

    learning: int
    of: int

    def __str__(self) -> str:
        return f"learns {_percent(self.learning, self.of)} % of {_count(self.of)} parameters"


def share_of(module: nn.Module, parts: Parts, phases: Sequence[Phase]) -> Share:
    """Counted before a strategy shards the module. What was frozen by whoever made the module never learns."""
    open_ = parts.selected(text for phase in phases for text in phase.open)
    sizes = {name: parameter.numel() for name, parameter in module.named_parameters()}
    learning = sum(sizes[name] for name, p in module.named_parameters() if name in open_ and p.requires_grad)
    return Share(learning, sum(sizes.values()))


def _percent(part: int, whole: int) -> str:
    """With two digits that say something, and 100 only where it is all."""
    share = 100 * part / (whole or 1)
    if part == whole:
        return "100"
    return f"{min(share, 99.9):.1f}" if share >= 1 else f"{share:.2g}"


def _count(number: int) -> str:
    for size, word in ((10**9, "billion"), (10**6, "million")):
        if number >= size:
            return f"{number / size:.1f} {word}"
    return f"{number:,}"

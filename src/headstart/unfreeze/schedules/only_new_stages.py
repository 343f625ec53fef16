"""Networks AnB and BnB: the reused stages are frozen, those above them and the head are trainable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headstart.unfreeze.schedules.schedule_phases import Phase


@dataclass(frozen=True, kw_only=True)
class OnlyNewStages:
    """Whatever is above the first `reused` stages, head included, for the whole run.

    Yosinski et al. 2014, How transferable are features in deep neural networks? (arXiv:1411.1792, section 2).

    Args:
        reused: How many stages have the source's weights; None means all.
    """

    reused: int | None

    def phases(self, parts: Sequence[str]) -> tuple[Phase, ...]:
        stages = len(parts) - 1  # the last part is the head
        trainable = tuple(parts[min(stages if self.reused is None else self.reused, stages) :])
        name = trainable[0] if len(trainable) == 1 else f"{trainable[0]} and above"
        return (Phase(name=name, trainable=trainable),)

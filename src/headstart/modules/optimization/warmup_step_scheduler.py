"""Learning-rate scheduler: linear warm-up, then steps down at milestones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from annotated_types import Ge, Interval
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class WarmupStep(LRScheduler):
    """In step n < warmup_steps a rate is n / warmup_steps of its own; at each milestone it falls to gamma of it.

    A milestone m counts from step m on, m updates after the run's beginning; one in the warm-up lowers that too.
    Goyal et al. 2017 (arXiv:1706.02677), section 2.2 for the warm-up; as in BiT (arXiv:1912.11370) it begins at 0.

    Args:
        optimizer: The optimizer whose rates it sets.
        warmup_steps: Steps of the warm-up.
        milestones: Steps at which the rate falls, in rising order.
        gamma: The factor of each fall.
        last_epoch: As of any torch scheduler.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        warmup_steps: Annotated[int, Ge(0)],
        milestones: Sequence[int],
        gamma: Annotated[float, Interval(gt=0, le=1)],
        last_epoch: int = -1,
    ) -> None:
        if list(milestones) != sorted(milestones):
            raise ValueError(f"milestones must rise, got {list(milestones)}")
        self.warmup_steps, self.milestones, self.gamma = warmup_steps, list(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float | Tensor]:
        step = self.last_epoch
        rise = step / self.warmup_steps if step < self.warmup_steps else 1.0
        fall: float = self.gamma ** sum(milestone <= step for milestone in self.milestones)
        return [float(rate) * rise * fall for rate in self.base_lrs]

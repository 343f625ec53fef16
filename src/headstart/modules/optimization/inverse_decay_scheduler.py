"""Learning-rate scheduler: an inverse decay with the share of the run that is done."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class InverseDecay(LRScheduler):
    """A rate is its own over (1 + alpha p) to the power of `power`, p the share of the steps that is done.

    Ganin et al. 2016, Domain-Adversarial Training of Neural Networks (arXiv:1505.07818), section 5.2.2, which has
    alpha 10 and power 0.75; CDAN, MDD and SHOT take it over.

    Args:
        optimizer: The optimizer whose rates it sets.
        total_iters: Steps until p is 1; it stays there.
        alpha: As above.
        power: As above.
        last_epoch: As of any torch scheduler.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        total_iters: Annotated[int, Ge(1)],
        alpha: Annotated[float, Ge(0)],
        power: Annotated[float, Ge(0)],
        last_epoch: int = -1,
    ) -> None:
        self.total_iters, self.alpha, self.power = total_iters, alpha, power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float | Tensor]:
        done = min(1.0, self.last_epoch / self.total_iters)
        return [float(rate) * (1 + self.alpha * done) ** -self.power for rate in self.base_lrs]

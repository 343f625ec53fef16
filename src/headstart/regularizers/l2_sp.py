"""L2-SP: squared distance of the weights from those that training started with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from headstart.regularizers.regularizer import Regularizer, Stages
from headstart.types import Batch, UserError


class L2SP(Regularizer):
    """(alpha/2) |w - w0|^2 over the weights that come from the source, (beta/2) |w|^2 over the new ones.

    Li et al. 2018 (arXiv:1802.01483), eq. 3, over trainable weights: a frozen weight adds nothing, as it cannot move.
    w0 are the weights at the run's start. New are the head and the stages that weights.reset_from re-initialises;
    without a source (mode=scratch) all weights are new, and the term is the plain weight decay of beta. A head that
    comes from the source (head.init=source) is not new. The optimizer's own weight decay is off.

    Args:
        alpha: The factor of the weights from the source.
        beta: The factor of new weights.

    Raises:
        UserError: In a training step, if the weights are sharded.
    """

    from_source: Tensor  # (stages,), whether a stage has the source's weights
    replaces_weight_decay = True

    def __init__(self, *, alpha: Annotated[float, Ge(0)], beta: Annotated[float, Ge(0)]) -> None:
        super().__init__()
        self.alpha, self.beta = alpha, beta

    def prepare(self, stages: Stages) -> None:
        self.register_buffer("from_source", torch.zeros(len(stages), dtype=torch.bool))
        for name, weight in _weights(stages).items():
            self.register_buffer(_start_name(name), torch.zeros_like(weight))

    def begin(self, stages: Stages, from_source: Collection[str]) -> None:
        self.from_source.copy_(torch.tensor([stage in from_source for stage in stages]))
        for name, weight in _weights(stages).items():
            if name.partition(".")[0] in from_source:
                self.get_buffer(_start_name(name)).copy_(weight)

    def forward(self, *, stages: Stages, batch: Batch, features: Tensor, outputs: Mapping[str, Tensor]) -> Tensor:
        squares = [self._square(name, stage) for name, stage in stages.items()]
        rates = torch.where(self.from_source, self.alpha, self.beta)
        return (rates / 2 * torch.stack([square.to(rates.device) for square in squares])).sum()

    def _square(self, stage: str, module: nn.Module) -> Tensor:
        """|w - w0|^2 of the trainable weights of a stage; w0 of new ones is 0."""
        total = torch.zeros((), device=self.from_source.device)
        for name, weight in module.named_parameters():
            if isinstance(weight, DTensor):
                raise UserError("regularizer=l2_sp needs whole weights on each device; with trainer=fsdp leave it out")
            if weight.requires_grad:
                total = total + (weight - self.get_buffer(_start_name(f"{stage}.{name}"))).float().square().sum()
        return total


def _weights(stages: Stages) -> dict[str, Tensor]:
    return {
        f"{stage}.{name}": weight.detach()
        for stage, module in stages.items()
        for name, weight in module.named_parameters()
    }


def _start_name(name: str) -> str:
    return "start:" + name.replace(".", "/")  # a buffer's name has no dot

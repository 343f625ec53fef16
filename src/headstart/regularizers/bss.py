"""Batch spectral shrinkage: the smallest singular values of the features of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from headstart.regularizers.regularizer import Regularizer, Stages
from headstart.types import Batch


class BSS(Regularizer):
    """weight * the sum of the k smallest squared singular values of the batch's features (B, D).

    Batch spectral shrinkage, Chen et al. 2019, Catastrophic Forgetting Meets Negative Transfer (NeurIPS).
    There are min(B, D) of them; where that is less than k, all are summed. It acts on what is trainable below the head:
    with mode=feature_extraction it is logged and changes nothing.

    Args:
        weight: The factor of the sum.
        k: How many singular values are summed.
    """

    def __init__(self, *, weight: Annotated[float, Ge(0)], k: Annotated[int, Gt(0)]) -> None:
        super().__init__()
        self.weight, self.k = weight, k

    def forward(self, *, stages: Stages, batch: Batch, features: Tensor, outputs: Mapping[str, Tensor]) -> Tensor:
        return self.weight * weakest(features, self.k)


def weakest(features: Tensor, k: int) -> Tensor:
    """The sum of the k smallest squared singular values of features (B, D), scalar >= 0."""
    values: Tensor = torch.linalg.svdvals(features.float())  # from the largest on; there is none for half precision
    return values[-k:].square().sum()

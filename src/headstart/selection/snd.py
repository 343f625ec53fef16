"""SND: soft neighbourhood density of the predictions on the target."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor
from torch.nn.functional import normalize

from headstart.selection.score_inputs import Sides
from headstart.selection.selection import Score

CHUNK = 2**22  # similarities that are in memory at once


class SND(Score):
    """soft_neighbourhood_density() of the target's val.

    Args:
        temperature: Of the softmax over neighbours.
    """

    metric = "target/snd"
    mode = "max"

    def __init__(self, *, temperature: Annotated[float, Gt(0)] = 0.05) -> None:
        self.temperature = temperature

    def __call__(self, sides: Sides) -> float:
        return float(soft_neighbourhood_density(sides.target_val.logits, temperature=self.temperature))


def soft_neighbourhood_density(logits: Tensor, *, temperature: float) -> Tensor:
    """The mean over images of the entropy of softmax(cosines / temperature) over the other images, float64.

    The cosines are of softmax(logits (N, C)), N > 1 -> scalar from 0 to ln(N - 1). It grows with N: compare models on
    the same images. Saito et al. 2021, Tune it the Right Way (arXiv:2108.10860); in the authors' code an image is a
    neighbour of itself too, at a cosine of -1.
    """
    answer = normalize(logits.float().softmax(dim=1), dim=1)
    total = torch.zeros((), dtype=torch.float64)
    rows = max(1, CHUNK // len(answer))
    for begin in range(0, len(answer), rows):
        similarity = answer[begin : begin + rows] @ answer.T / temperature
        itself = torch.arange(len(similarity))
        similarity[itself, begin + itself] = -torch.inf
        similarity -= similarity.amax(dim=1, keepdim=True)
        share = similarity.exp()
        similarity[itself, begin + itself] = 0  # its share is 0
        whole = share.sum(dim=1)
        total += (whole.log() - (share * similarity).sum(dim=1) / whole).sum()
    return total / len(answer)

"""InfoMax: mutual information of target images and predictions."""

from __future__ import annotations

import torch
from torch import Tensor

from headstart.selection.entropy import mean_entropy
from headstart.selection.score_inputs import Sides
from headstart.selection.selection import Score


class InfoMax(Score):
    """mutual_information() of the target's val."""

    metric = "target/infomax"
    mode = "max"

    def __call__(self, sides: Sides) -> float:
        return float(mutual_information(sides.target_val.logits))


def mutual_information(logits: Tensor) -> Tensor:
    """H(mean p) - mean H(p) over images, p = softmax(logits (N, C)) -> scalar from 0 to ln C, float64.

    Large where each answer is sure and the answers together are of all classes. Bridle et al. 1991, Unsupervised
    Classifiers, Mutual Information and 'Phantom Targets' (NIPS 4); for adaptation Shi & Sha 2012 (arXiv:1206.6438).
    """
    mean = logits.double().softmax(dim=1).mean(dim=0)
    of_all: Tensor = torch.special.entr(mean).sum()
    return of_all - mean_entropy(logits)

"""Which unlabelled images to label next: uncertain ones that differ from each other."""

from __future__ import annotations

import torch
from torch import Tensor

from headstart.features.k_center import k_center

POOL = 10  # times as many uncertain images as are wanted: among them the choice is by distance


def next_to_label(probabilities: Tensor, features: Tensor, labelled: Tensor, count: int) -> list[int]:
    """Rows to label, the first first: of the ten times as many with the smallest margins a k-centre choice.

    The margin is the largest probability less the second (Scheffer et al. 2001; uncertainty alone would take many
    images that are alike). Centres are the labelled images and what is chosen already (Sener & Savarese 2018).

    Args:
        probabilities: (M, K), of the unlabelled images.
        features: (M, D), of the same.
        labelled: (N, D), features of the labelled images.
        count: How many, at most M.
    """
    top = probabilities.topk(2, dim=1).values
    uncertain = (top[:, 0] - top[:, 1]).argsort(stable=True)[: POOL * count]
    chosen = k_center(features[uncertain], min(count, len(uncertain)), labelled)
    return uncertain[torch.tensor(chosen, dtype=torch.long)].tolist()

"""Linear heads trained by SGD, for a grid of learning rates and weight decays."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from headstart.data.loading.batch_order import EpochOrder
from headstart.features.probing.stacked_heads import StackedHeads

BETAS, EPS = (0.9, 0.999), 1e-8  # torch.optim.AdamW's own


class Grid(NamedTuple):
    """The heads of a grid, and after which epoch each of them was taken."""

    heads: StackedHeads
    epoch: Tensor  # (G,), from 1


def trained(
    features: Tensor,
    labels: Tensor,
    num_classes: int,
    settings: Sequence[tuple[float, float]],
    *,
    epochs: int,
    batch_size: int,
    seed: int,
    score: Callable[[StackedHeads], Tensor] | None = None,
) -> Grid:
    """One head a setting (learning rate, weight decay), all trained at the same time on the same batches.

    features (N, D), labels (N,). Each head is what torch.optim.AdamW and CosineAnnealingLR (from step to step, to 0)
    would have made of it alone: cross-entropy from weights of 0, biases without weight decay. The heads of a batch
    share two matrix products. The order of the images is that of a fit with the same seed.
    score: heads -> (G,), higher is better; where it is given, a head is that of the first epoch with its best score.
    """
    count, width, total = len(settings), features.shape[1], len(features)
    rates, decays = torch.tensor(settings, dtype=features.dtype, device=features.device).T
    rate = rates.repeat_interleave(num_classes)[:, None]  # (G K, 1): rows of one matrix
    decay = decays.repeat_interleave(num_classes)[:, None]
    weight, bias = _Parameter.zeros(features, len(rate), width), _Parameter.zeros(features, len(rate), 1)
    images, batches = EpochOrder(length=total, seed=seed), math.ceil(total / batch_size)
    places = torch.arange(min(batch_size, total), device=features.device)
    best: Grid | None = None
    top = torch.empty(0)
    for epoch in range(epochs):
        images.set_epoch(epoch)
        order = torch.from_numpy(images.positions()).to(features.device)
        mixed, mixed_labels = features[order], labels[order]
        for i in range(batches):
            x, y = (t[i * batch_size : (i + 1) * batch_size] for t in (mixed, mixed_labels))
            step = epoch * batches + i
            share = (1 + math.cos(math.pi * step / (epochs * batches))) / 2
            logits = torch.addmm(bias.value, weight.value, x.T).view(count, num_classes, -1)
            wrong = logits.softmax(dim=1)
            wrong[:, y, places[: len(x)]] -= 1
            wrong = wrong.div_(len(x)).flatten(0, 1)
            weight.value.mul_(1 - share * rate * decay)
            weight.step(wrong @ x, share * rate, step + 1)
            bias.step(wrong.sum(dim=1, keepdim=True), share * rate, step + 1)
        if score is not None:
            heads = _heads(weight.value, bias.value, count)
            reached = score(heads)
            if best is None:
                best, top = Grid(heads, torch.ones(count, dtype=torch.long)), reached
            better = reached > top
            top = top.where(~better, reached)
            best.heads.weight[better], best.heads.bias[better] = heads.weight[better], heads.bias[better]
            best.epoch[better.to(best.epoch.device)] = epoch + 1
    return best or Grid(_heads(weight.value, bias.value, count), torch.full((count,), epochs))


class _Parameter(NamedTuple):
    """What AdamW keeps of a matrix (G K, D)."""

    value: Tensor
    mean: Tensor  # of the gradients
    square: Tensor  # mean of their squares

    @classmethod
    def zeros(cls, like: Tensor, rows: int, columns: int) -> _Parameter:
        return cls(*(like.new_zeros(rows, columns) for _ in range(3)))

    def step(self, slope: Tensor, rate: Tensor, number: int) -> None:
        """Kingma & Ba 2015, algorithm 1, with a rate a row; number: of this step, from 1."""
        self.mean.lerp_(slope, 1 - BETAS[0])
        self.square.mul_(BETAS[1]).addcmul_(slope, slope, value=1 - BETAS[1])
        root = self.square.sqrt().div_(math.sqrt(1 - BETAS[1] ** number)).add_(EPS)
        self.value.addcdiv_(self.mean * (rate / (BETAS[0] ** number - 1)), root)  # a minus in the bias correction


def _heads(weight: Tensor, bias: Tensor, count: int) -> StackedHeads:
    return StackedHeads(weight.view(count, -1, weight.shape[1]).clone(), bias.view(count, -1).clone())

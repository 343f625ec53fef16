"""Means of the weights of several models of one architecture: between two of them, or of any number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

State = Mapping[str, Tensor]


def interpolated(start: State, end: State, share: float) -> dict[str, Tensor]:
    """The weights on the line between two models, (1 - share) * start + share * end.

    Floating-point tensors are interpolated in float64 and rounded to their own type; at share 0 and 1 they equal the
    model's to the bit. Other tensors, such as the number of batches that a BatchNorm has seen, are those of `end`.

    Wortsman et al. 2022, Robust fine-tuning of zero-shot models (WiSE-FT, arXiv:2109.01903), eq. 1.

    Args:
        start: Name -> tensor of the model before fine-tuning.
        end: The same names and shapes, of the model after it.
        share: Of `end`, 0 to 1.

    Raises:
        ValueError: Where names or shapes differ.
    """
    _check_alike([start, end])
    if share in (0.0, 1.0):
        chosen = end if share == 1.0 else start
        return {name: (chosen[name] if end[name].is_floating_point() else end[name]).clone() for name in end}
    return _mean([start, end], [1.0 - share, share])


def averaged(states: Sequence[State]) -> dict[str, Tensor]:
    """The mean of the weights of several models, each counted once.

    Tensors that are not floating-point are those of the last model.

    Wortsman et al. 2022, Model soups (arXiv:2203.05482), section 2.

    Args:
        states: Name -> tensor of each model, at least one.

    Raises:
        ValueError: Where there is none, or names or shapes differ.
    """
    _check_alike(states)
    return _mean(states, [1.0 / len(states)] * len(states))


def _mean(states: Sequence[State], shares: Sequence[float]) -> dict[str, Tensor]:
    mean = {}
    for name, last in states[-1].items():
        if last.is_floating_point():
            total = torch.zeros_like(last, dtype=torch.float64)
            for state, share in zip(states, shares, strict=True):
                total += share * state[name].to(torch.float64)
            mean[name] = total.to(last.dtype)
        else:
            mean[name] = last.clone()
    return mean


def _check_alike(states: Sequence[State]) -> None:
    if not states:
        raise ValueError("a mean of weights needs one model at least, got none")
    shapes = [{name: tensor.shape for name, tensor in state.items()} for state in states]
    for other in shapes[1:]:
        if other != shapes[0]:
            names = sorted({*other, *shapes[0]})
            differs = next(name for name in names if other.get(name) != shapes[0].get(name))
            raise ValueError(f"models must have the same tensors to be averaged, {differs} differs")

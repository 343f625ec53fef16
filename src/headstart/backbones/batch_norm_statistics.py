"""Running statistics of BatchNorm layers, measured on images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from headstart.compat.pytorch.torch_norms import BatchNorm


class ChannelMoments(NamedTuple):
    """Of the values of each channel."""

    values: int
    mean: Tensor  # (channels,)
    squares: Tensor  # (channels,), the sum of the squared distances from the mean


def norms_of(stages: Mapping[str, nn.Module] | nn.ModuleDict) -> list[BatchNorm]:
    """All BatchNorms that normalise by running statistics when the model is in eval()."""
    modules = [module for stage in stages.values() for module in stage.modules()]
    return [norm for norm in modules if isinstance(norm, BatchNorm) and norm.running_mean is not None]


@torch.no_grad()
def take_statistics(norms: list[BatchNorm], run: Callable[[], None]) -> None:
    """Give norms, in eval(), the mean and the variance (n - 1) of all that enters them while `run` runs.

    Meanwhile each normalises a batch by that batch's own mean and variance (n), as in training: so the statistics of
    one that comes behind another do not depend on what both had before.
    """
    measured: dict[nn.Module, ChannelMoments] = {}

    def note(norm: nn.Module, entering: tuple[Any, ...]) -> None:
        assert isinstance(norm, BatchNorm)
        batch = moments(entering[0])
        measured[norm] = joined(measured[norm], batch) if norm in measured else batch
        _set(norm, batch.mean, batch.squares / batch.values)

    hooks = [norm.register_forward_pre_hook(note) for norm in norms]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    for norm, (values, mean, squares) in measured.items():
        assert isinstance(norm, BatchNorm)
        _set(norm, mean, squares / max(1, values - 1))


def moments(x: Tensor) -> ChannelMoments:
    """Of what enters a norm, (B, channels) or (B, channels, ...)."""
    values = x.float().transpose(0, 1).flatten(1)
    mean = values.mean(dim=1)
    return ChannelMoments(values.shape[1], mean, (values - mean[:, None]).square().sum(dim=1))


def joined(first: ChannelMoments, second: ChannelMoments) -> ChannelMoments:
    """Those of both sets of values together.

    Chan, Golub & LeVeque 1979, Updating Formulae and a Pairwise Algorithm for Computing Sample Variances.
    """
    values = first.values + second.values
    gap = second.mean - first.mean
    mean = first.mean + gap * (second.values / values)
    return ChannelMoments(
        values, mean, first.squares + second.squares + gap.square() * (first.values * second.values / values)
    )


def _set(norm: BatchNorm, mean: Tensor, variance: Tensor) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)

"""Bytes that a run's training takes on each device, and those of its checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from headstart.runs.cost.job_cost import DeviceMemory
from headstart.unfreeze.unfreezing_plan import Plan

MIB = 2**20


def device_memory(
    module: nn.Module, plan: Plan, *, optimizer: Optimizer, batch_bytes: int, shares: int
) -> DeviceMemory:
    """The most that a phase of the plan takes, but for the process, libraries and what a layer needs for a moment.

    Args:
        module: That is trained.
        plan: Of the run.
        optimizer: Of the run.
        batch_bytes: Of a batch of images as the first stage takes it.
        shares: Devices among which weights, gradients and the optimizer's state are divided (FSDP); 1 where each has
            them whole.
    """
    weights = _bytes((*module.parameters(), *module.buffers()))
    trainable = max((row.trainable_parameters for row in plan.rows), default=0) * _element_size(module)
    state = trainable * state_tensors(optimizer)
    saved = max((row.saved_mib for row in plan.rows), default=0.0) * MIB
    return DeviceMemory(
        weights=weights / shares, gradients=trainable / shares, optimizer=state / shares,
        activations=saved + batch_bytes,
    )  # fmt: skip


def checkpoint_bytes(module: nn.Module, plan: Plan, optimizer: Optimizer) -> int:
    """Of best.ckpt and last.ckpt, with the weights and the optimizer's state of all that learns at some time.

    A run that ends before its last phase keeps less. What else lies in them takes less than 0.1 MiB.
    """
    state = plan.share.learning * _element_size(module) * state_tensors(optimizer)
    return int(2 * (_bytes((*module.parameters(), *module.buffers())) + state))


def state_tensors(optimizer: Optimizer) -> int:
    """How many tensors of a parameter's shape the optimizer keeps beside it, seen in a step of one of its kind."""
    parameter = nn.Parameter(torch.ones(2, 2))
    like: Mapping[str, Any] = {**optimizer.defaults}
    try:
        one = type(optimizer)([parameter], **like)
        parameter.grad = torch.ones(2, 2)
        one.step()
    except (TypeError, ValueError, RuntimeError):  # one of the user's own, with settings of its own; as Adam
        return 2
    kept: Iterable[Any] = one.state[parameter].values()
    return sum(isinstance(value, torch.Tensor) and value.shape == parameter.shape for value in kept)


def _bytes(tensors: Iterable[torch.Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _element_size(module: nn.Module) -> int:
    return next((parameter.element_size() for parameter in module.parameters()), 4)

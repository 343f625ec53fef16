"""What does a training step cost, with what learns just now?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode


class Cost(NamedTuple):
    """Of one training step on one batch."""

    forward_flops: int
    backward_flops: int
    saved_bytes: int  # what the forward pass keeps for the backward pass, besides the model


def step_cost(module: nn.Module, loss: Callable[[], Tensor]) -> Cost:
    """Measured on a real forward and backward pass: matrix products, convolutions and attention count as FLOPs.

    loss: the module's, on a batch. What needs no gradient is not in the backward pass, nor is it kept for it.
    A storage that is kept twice counts once.
    """
    own = {tensor.untyped_storage().data_ptr() for tensor in (*module.parameters(), *module.buffers())}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()  # it holds the storage, so that no other gets its address meanwhile

    with FlopCounterMode(display=False) as counter:
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            value = loss()
        forward = counter.get_total_flops()
        if value.requires_grad:
            value.backward()  # type: ignore[no-untyped-call]
        return Cost(forward, counter.get_total_flops() - forward, sum(kept.values()))


@contextmanager
def untouched(module: nn.Module) -> Iterator[None]:
    """A training step inside leaves no trace: not in buffers, gradients, modes, requires_grad or random numbers."""
    parameters = [(p, p.grad, p.requires_grad) for p in module.parameters()]
    buffers = [
        (inner, name, buffer, buffer.detach().clone())
        for inner in module.modules()
        for name, buffer in inner.named_buffers(recurse=False)
    ]
    modes = [(inner, inner.training) for inner in module.modules()]
    for parameter, *_ in parameters:
        parameter.grad = None  # or the backward pass would add to it
    devices = sorted({p.device.index for p, *_ in parameters if p.device.type == "cuda"})
    try:
        with torch.random.fork_rng(devices=devices), torch.enable_grad():
            yield
    finally:
        with torch.no_grad():
            for parameter, gradient, learns in parameters:
                parameter.requires_grad_(learns)
                parameter.grad = gradient
            for inner, name, buffer, value in buffers:
                inner._buffers[name] = buffer.copy_(value)
        for inner, mode in modes:
            inner.training = mode

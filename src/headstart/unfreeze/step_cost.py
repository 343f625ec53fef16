"""FLOPs and memory of one training step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode


class StepCost(NamedTuple):
    """The cost of one training step on one batch."""

    forward_flops: int
    backward_flops: int
    saved_bytes: int  # activations that the forward pass saves for the backward pass


def step_cost(module: nn.Module, loss: Callable[[], Tensor]) -> StepCost:
    """The cost of a step, measured on a real forward and backward pass.

    Matrix products, convolutions and attention count as FLOPs. A storage that is saved twice counts once.

    Args:
        module: Its trainable parameters alone take part in the backward pass.
        loss: Gives the loss of the module on a batch.
    """
    of_model = {tensor.untyped_storage().data_ptr() for tensor in (*module.parameters(), *module.buffers())}
    saved: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in of_model:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()  # keeps the storage alive, so that no other gets its address

    formulas = {torch.ops.aten.convolution_backward: _convolution_backward_flops}
    with FlopCounterMode(display=False, custom_mapping=formulas) as counter:
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            value = loss()
        forward = counter.get_total_flops()
        if value.requires_grad:
            value.backward()  # type: ignore[no-untyped-call]
        return StepCost(forward, counter.get_total_flops() - forward, sum(saved.values()))


def _convolution_backward_flops(
    grad_out: Sequence[int], image: Sequence[int], weight: Sequence[int], *settings: Any, **_: Any
) -> int:
    """FLOPs of a convolution's gradients, in groups too; torch's own formula (2.15) takes groups for one.

    Each weight is multiplied once for each place of the output, of a transposed convolution of the input: as often in
    the gradient of the input, and in that of the weights, as in the forward pass.
    """
    _bias, _stride, _padding, _dilation, transposed, _output_padding, _groups, mask = settings[:8]
    places = image[0] * math.prod((image if transposed else grad_out)[2:])
    return 2 * places * math.prod(weight) * (int(mask[0]) + int(mask[1]))


@contextmanager
def untouched(module: nn.Module) -> Iterator[None]:
    """Restores buffers, gradients, modes, requires_grad and the RNG states after a training step inside."""
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
                setattr(inner, name, buffer.copy_(value))
        for inner, mode in modes:
            inner.training = mode

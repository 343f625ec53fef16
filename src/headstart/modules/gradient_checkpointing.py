"""Gradient checkpointing of a model's stages: activations are computed again in the backward pass, not kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from headstart.types import UserError


def checkpoint_in_place(stages: Mapping[str, nn.Module], *, among: Collection[str] | bool) -> None:
    """Let stages keep what enters them alone, and compute the rest again in the backward pass; names and types stay.

    Loss and gradients are those without it: random numbers are drawn as in the first pass, and buffers, as BatchNorm's
    statistics, are updated in the first pass alone. A stage of which nothing is trainable is left as it is. One after
    the other is computed again, so that the activations of one stage are in memory at a time. Chen et al. 2016,
    Training Deep Nets with Sublinear Memory Cost (arXiv:1604.06174).

    Args:
        stages: The parts of the model, by name.
        among: The names of those that are checkpointed; True: all of them.

    Raises:
        UserError: A name is not a stage's.
    """
    chosen = tuple(stages) if among is True else tuple(among or ())
    if unknown := [name for name in chosen if name not in stages]:
        raise UserError(
            f"gradient_checkpointing must be true, false or a list of stages, of {', '.join(stages)}, "
            f"got {', '.join(unknown)}"
        )
    for name in chosen:
        stages[name].forward = Recomputed(stages[name], stages[name].forward)


class Recomputed:
    """A stage's forward that keeps its input alone where gradients are wanted of its parameters.

    Args:
        stage: The stage.
        forward: Its own forward.
    """

    def __init__(self, stage: nn.Module, forward: Callable[..., Any]) -> None:
        self.stage, self.forward = stage, forward

    def __call__(self, *inputs: Any) -> Any:
        learns = torch.is_grad_enabled() and any(weight.requires_grad for weight in self.stage.parameters())
        if not learns:
            return self.forward(*inputs)
        contexts = lambda: (nullcontext(), _buffers_kept(self.stage))  # noqa: E731
        return checkpoint(self.forward, *inputs, use_reentrant=False, context_fn=contexts)


@contextmanager
def _buffers_kept(stage: nn.Module) -> Iterator[None]:
    """What is written to buffers inside goes to copies."""
    own: list[tuple[nn.Module, str, Tensor]] = [
        (module, name, buffer)
        for module in stage.modules()
        if module.training
        for name, buffer in module.named_buffers(recurse=False)
    ]
    try:
        for module, name, buffer in own:
            setattr(module, name, buffer.clone())
        yield
    finally:
        for module, name, buffer in own:
            setattr(module, name, buffer)

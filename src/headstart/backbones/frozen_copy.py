"""Frozen copies of a model's stages, beside the stages that learn."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn


class FrozenCopies(nn.Module):
    """Copies of stages whose weights are buffers: nothing trains, counts or wraps them, and checkpoints have them.

    They stay in eval() when train() is called. Inside they are called `copy:<stage>`, so that they are not taken for
    the model's own weights in a checkpoint.

    Args:
        stages: Name -> module.
    """

    def __init__(self, stages: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.stages = tuple(stages)  # their names
        for name, stage in stages.items():
            copied = copy.deepcopy(stage)
            _make_buffers(copied)
            self.add_module(_key(name), copied)
        self.train(False)

    def train(self, mode: bool = True) -> FrozenCopies:  # noqa: ARG002  # whoever asks, it stays
        return super().train(False)

    def of(self, stage: str) -> nn.Module:
        """The copy of a stage."""
        return self.get_submodule(_key(stage))

    @torch.no_grad()
    def take(self, stages: Mapping[str, nn.Module]) -> None:
        """Become what these are now."""
        for name, stage in stages.items():
            self.of(name).load_state_dict(stage.state_dict())

    @torch.no_grad()
    def follow(self, stages: Mapping[str, nn.Module], momentum: float) -> None:
        """Go the share 1 - momentum of the way to the weights of these, and into the mode of each of their modules."""
        for name, stage in stages.items():
            weights = dict(self.of(name).named_buffers())
            for key, weight in stage.named_parameters():
                weights[key].lerp_(weight.detach().to(weights[key].dtype), 1 - momentum)
            for module, learning in zip(self.of(name).modules(), stage.modules(), strict=True):
                module.training = learning.training

    @torch.no_grad()
    def outputs(self, x: Tensor, start: int) -> dict[str, Tensor]:
        """What each copy from the stage number `start` on makes of what enters that, by stage; not pooled."""
        by_stage = {}
        for name in self.stages[start:]:
            by_stage[name] = x = self.of(name)(x)
        return by_stage


def _key(stage: str) -> str:
    return f"copy:{stage}"


def _make_buffers(module: nn.Module) -> None:
    for inner in module.modules():
        for name, weight in list(inner.named_parameters(recurse=False)):
            delattr(inner, name)
            inner.register_buffer(name, weight.detach())

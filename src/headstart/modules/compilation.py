"""Compilation of a model's stages by torch.compile, each by itself."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from headstart.compat.pytorch.torch_compilation import raise_recompile_limits

VARIANTS = 64  # of one piece of code: trainable or frozen, training or not, a smaller last batch, for each stage


def compile_in_place(stages: Mapping[str, nn.Module], *, backend: str = "inductor") -> None:
    """Compile each stage by itself; names, state dict and type of all modules stay.

    A stage has few variants (trainable, frozen, frozen below one that is trainable), so that a schedule of many phases
    compiles no more than one of three. Where torch would go on uncompiled, since it has compiled one piece of code too
    often, it raises instead.

    Args:
        stages: The parts of the model, by name.
        backend: What torch.compile compiles with.
    """
    raise_recompile_limits(VARIANTS, len(stages))
    for stage in stages.values():
        stage.compile(backend=backend)

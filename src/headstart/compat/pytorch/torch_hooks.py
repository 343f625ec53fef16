"""Hooks of torch's modules."""

from __future__ import annotations

from torch import nn


def has_forward_hooks(module: nn.Module) -> bool:
    """Whether hooks of the module itself take part in its calls.

    Relies on: `_forward_hooks` and `_forward_pre_hooks` of a module.
    """
    return bool(module._forward_hooks or module._forward_pre_hooks)

"""torch.compile: its limits for compiling one piece of code again, and which modules it has compiled."""

from __future__ import annotations

import torch._dynamo.config
from torch import nn


def raise_recompile_limits(variants: int, modules: int) -> None:
    """Let each piece of code be compiled in so many variants, and make it an error where that is not enough.

    Without the error torch would go on uncompiled. Limits that are higher already stay.

    Relies on: `torch._dynamo.config` has `recompile_limit` (all modules share their `__call__`, and so one count),
    `accumulated_recompile_limit` (of all pieces of code together) and `fail_on_recompile_limit_hit`.

    Args:
        variants: How many variants of one piece of code there may be.
        modules: How many modules are compiled.
    """
    config = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, variants)
    config.accumulated_recompile_limit = max(config.accumulated_recompile_limit, variants * max(1, modules))
    config.fail_on_recompile_limit_hit = True


def is_compiled(module: nn.Module) -> bool:
    """Whether `module.compile()` was called.

    Relies on: the attribute `_compiled_call_impl`, None in a module that is not compiled.
    """
    return getattr(module, "_compiled_call_impl", None) is not None

"""What of a model is compiled?"""

from __future__ import annotations

from collections.abc import Mapping

import torch._dynamo.config
from torch import nn

VARIANTS = 64  # of one piece of code: open or closed, training or not, a smaller last batch, for each stage


def compile_in_place(stages: Mapping[str, nn.Module], *, backend: str = "inductor") -> None:
    """Compile each stage by itself; names, state dict and type of all modules stay.

    A stage has few variants (open, closed, closed below one that is open), so that a schedule of many phases
    compiles no more than one of three. Where torch would go on uncompiled, since it has compiled one
    piece of code too often, it raises instead.
    """
    config = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, VARIANTS)  # one count for all modules: they share __call__
    config.accumulated_recompile_limit = max(config.accumulated_recompile_limit, VARIANTS * max(1, len(stages)))
    config.fail_on_recompile_limit_hit = True
    for stage in stages.values():
        stage.compile(backend=backend)

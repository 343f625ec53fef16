"""Which parameters learn at which rate?"""

from __future__ import annotations

from typing import Any

from torch import nn

from headstart.backbones.stages import Backbone


def parameter_groups(backbone: Backbone, head: nn.Module, *, lr: float, stage_decay: float) -> list[dict[str, Any]]:
    """Optimizer groups for all stages and the head, open or not, from the input to the head.

    The head learns at lr, the stage next to it at lr * stage_decay, each further one at stage_decay times the
    one above (Howard & Ruder 2018 take 1/2.6). One or two groups a stage, named `<stage>` and
    `<stage>/no_decay`: norms and biases (all that has fewer than two dimensions) have no weight decay. All
    groups are there from the first step: optimizers skip a parameter without a gradient, and groups that come
    later break schedulers and resuming.
    """
    parts = [*backbone.stages.items(), ("head", head)]
    groups: list[dict[str, Any]] = []
    for depth, (name, part) in enumerate(reversed(parts)):
        rate = lr * stage_decay**depth
        decayed = [p for p in part.parameters() if p.ndim > 1]
        plain = [p for p in part.parameters() if p.ndim <= 1]
        if plain:
            groups.append({"name": f"{name}/no_decay", "params": plain, "lr": rate, "weight_decay": 0.0})
        if decayed:
            groups.append({"name": name, "params": decayed, "lr": rate})
    return groups[::-1]

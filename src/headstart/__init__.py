"""Did starting from a source model help on the target task, by how much, and which way is best?"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headstart.callbacks.ema import EMA
    from headstart.callbacks.replicas import ReplicaCheck
    from headstart.callbacks.unfreeze import Unfreeze
    from headstart.unfreeze.chain_thaw import ChainThaw
    from headstart.unfreeze.explicit import Explicit
    from headstart.unfreeze.gradual import Gradual, GradualByFraction, GradualByPlateau, GradualBySteps
    from headstart.unfreeze.groups import parameter_groups
    from headstart.unfreeze.lp_ft import LpFt
    from headstart.unfreeze.phases import Phase, Plateau

__version__ = "0.1.0"

# what any Lightning project can take; imported at the first use, since `headstart --help` must not import torch
_HOMES = {
    "EMA": "callbacks.ema",
    "ChainThaw": "unfreeze.chain_thaw",
    "Explicit": "unfreeze.explicit",
    "Gradual": "unfreeze.gradual",
    "GradualByFraction": "unfreeze.gradual",
    "GradualByPlateau": "unfreeze.gradual",
    "GradualBySteps": "unfreeze.gradual",
    "LpFt": "unfreeze.lp_ft",
    "Phase": "unfreeze.phases",
    "Plateau": "unfreeze.phases",
    "ReplicaCheck": "callbacks.replicas",
    "Unfreeze": "callbacks.unfreeze",
    "parameter_groups": "unfreeze.groups",
}
__all__ = [
    "EMA",
    "ChainThaw",
    "Explicit",
    "Gradual",
    "GradualByFraction",
    "GradualByPlateau",
    "GradualBySteps",
    "LpFt",
    "Phase",
    "Plateau",
    "ReplicaCheck",
    "Unfreeze",
    "parameter_groups",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

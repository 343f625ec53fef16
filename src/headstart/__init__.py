"""Did starting from a source model help on the target task, by how much, and which way is best?"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headstart.callbacks.training.ema import EMA
    from headstart.callbacks.training.replica_check import ReplicaCheck
    from headstart.callbacks.training.unfreeze import Unfreeze
    from headstart.unfreeze.parameter_groups import parameter_groups
    from headstart.unfreeze.schedules.chain_thaw import ChainThaw
    from headstart.unfreeze.schedules.explicit_phases import Explicit
    from headstart.unfreeze.schedules.gradual import Gradual, GradualByFraction, GradualByPlateau, GradualBySteps
    from headstart.unfreeze.schedules.lp_ft import LpFt
    from headstart.unfreeze.schedules.schedule_phases import Phase, Plateau

__version__ = "0.1.0"

# what any Lightning project can take; imported at the first use, since `headstart --help` must not import torch
_HOMES = {
    "EMA": "callbacks.training.ema",
    "ChainThaw": "unfreeze.schedules.chain_thaw",
    "Explicit": "unfreeze.schedules.explicit_phases",
    "Gradual": "unfreeze.schedules.gradual",
    "GradualByFraction": "unfreeze.schedules.gradual",
    "GradualByPlateau": "unfreeze.schedules.gradual",
    "GradualBySteps": "unfreeze.schedules.gradual",
    "LpFt": "unfreeze.schedules.lp_ft",
    "Phase": "unfreeze.schedules.schedule_phases",
    "Plateau": "unfreeze.schedules.schedule_phases",
    "ReplicaCheck": "callbacks.training.replica_check",
    "Unfreeze": "callbacks.training.unfreeze",
    "parameter_groups": "unfreeze.parameter_groups",
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

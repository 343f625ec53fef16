"""Transfer learning: whether starting from a source model helped on a target task, by how much, and which way is best.

run, sweep, compose, load and results do from Python what the command does; the other names are for any Lightning
project. All are imported at their first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from headstart.system.files.conf_folder import conf_dir
from headstart.system.headstart_version import VERSION

if TYPE_CHECKING:
    from headstart.api.composed_config import compose
    from headstart.api.loaded_model import LoadedModel, load
    from headstart.api.python_results import RunResult, SweepResult
    from headstart.api.python_runs import run, sweep
    from headstart.api.result_records import results
    from headstart.callbacks.training.ema import EMA
    from headstart.callbacks.training.replica_check import ReplicaCheck
    from headstart.callbacks.training.unfreeze import Unfreeze
    from headstart.types import DivergedError, UserError
    from headstart.unfreeze.parameter_groups import parameter_groups
    from headstart.unfreeze.schedules.chain_thaw import ChainThaw
    from headstart.unfreeze.schedules.explicit_phases import Explicit
    from headstart.unfreeze.schedules.gradual import Gradual, GradualByFraction, GradualByPlateau, GradualBySteps
    from headstart.unfreeze.schedules.lp_ft import LpFt
    from headstart.unfreeze.schedules.schedule_phases import Phase, Plateau


__version__ = VERSION

# in a checkout conf/ lies at its top: so `headstart.conf` is found there, as Hydra's initialize_config_module asks
if (folder := str(conf_dir().parent)) not in __path__:
    __path__.append(folder)

_MODULES = {  # public name -> its module; imported at the first use, since `headstart --help` must not import torch
    "DivergedError": "types",
    "LoadedModel": "api.loaded_model",
    "RunResult": "api.python_results",
    "SweepResult": "api.python_results",
    "UserError": "types",
    "compose": "api.composed_config",
    "load": "api.loaded_model",
    "results": "api.result_records",
    "run": "api.python_runs",
    "sweep": "api.python_runs",
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
    "DivergedError",
    "Explicit",
    "Gradual",
    "GradualByFraction",
    "GradualByPlateau",
    "GradualBySteps",
    "LoadedModel",
    "LpFt",
    "Phase",
    "Plateau",
    "ReplicaCheck",
    "RunResult",
    "SweepResult",
    "Unfreeze",
    "UserError",
    "compose",
    "load",
    "parameter_groups",
    "results",
    "run",
    "sweep",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

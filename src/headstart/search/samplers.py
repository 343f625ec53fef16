"""Samplers and pruners of a search by the names that a command gives them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Literal

from headstart.search.trial_storage import optuna
from headstart.types import UserError

SamplerName = Literal["tpe", "cmaes", "random", "qmc"]
PrunerName = Literal["median", "halving", "hyperband"]
SAMPLERS = {"tpe": "TPESampler", "cmaes": "CmaEsSampler", "random": "RandomSampler", "qmc": "QMCSampler"}
PRUNERS = {"median": "MedianPruner", "halving": "SuccessiveHalvingPruner", "hyperband": "HyperbandPruner"}
USUAL: dict[str, dict[str, Any]] = {  # of Optuna's settings, where its own default warns or does not suit
    "tpe": {"constant_liar": True},
    "cmaes": {"warn_independent_sampling": False},
    "qmc": {"scramble": True, "warn_independent_sampling": False, "warn_asynchronous_seeding": False},
}
SPREAD = 1_000_003  # a prime: seeds of neighbouring trials and of neighbouring searches are different


def sampler_of(name: SamplerName, seed: int, number: int, options: Mapping[str, Any] | None) -> Any:
    """The sampler that draws one trial.

    Each trial has a sampler of its own, whose seed is a function of the search's seed and the trial's number: a search
    that was stopped draws what it would have drawn. A quasi-random sequence has one seed: its points belong together.

    Args:
        name: Of the kind.
        seed: Of the search.
        number: Of the trial.
        options: More arguments of Optuna's class.

    Raises:
        UserError: There is no such kind or option, or cmaes lacks its package.
    """
    own = seed if name == "qmc" else (seed * SPREAD + number) % 2**32
    if name == "cmaes":
        _check_cmaes()
    return _made("sampler", SAMPLERS, name, optuna().samplers, {**USUAL.get(name, {}), "seed": own, **(options or {})})


def pruner_of(name: PrunerName | None, options: Mapping[str, Any] | None) -> Any:
    """The pruner that says which trials are hopeless; of None one that says it of none.

    Args:
        name: Of the kind.
        options: More arguments of Optuna's class.

    Raises:
        UserError: There is no such kind or option.
    """
    if name is None:
        return optuna().pruners.NopPruner()
    return _made("pruner", PRUNERS, name, optuna().pruners, dict(options or {}))


def _made(kind: str, classes: Mapping[str, str], name: str, module: Any, arguments: dict[str, Any]) -> Any:
    if name not in classes:
        raise UserError(f"hydra.sweeper.{kind} must be one of {', '.join(classes)}, got {name!r}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna().exceptions.ExperimentalWarning)
            return getattr(module, classes[name])(**arguments)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"hydra.sweeper.{kind}_options does not fit Optuna's {classes[name]}: {' '.join(str(error).split())}"
        ) from error


def _check_cmaes() -> None:
    try:
        __import__("cmaes")
    except ImportError as error:
        raise UserError(
            "hydra.sweeper.sampler=cmaes needs the package cmaes; try: pip install 'headstart[optuna]'"
        ) from error

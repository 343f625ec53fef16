"""The values of a recipe and of a tuning, put into the config in their place."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.runs.folder.run_naming import job_overrides
from headstart.runs.saved.config_writing import write_config
from headstart.system import rank_environment
from headstart.types import UserError

log = logging.getLogger(__name__)
CHOSEN = "chosen"  # where a recipe that has tried several values writes down what it saw; result.json says it again
TUNED = "tuned"  # the same of a tuning
TRYING = ("headstart.recipes.vtab1k.vtab1k",)  # recipes that try values


def with_recipes(cfg: DictConfig, *, processes: int) -> DictConfig:
    """The config with the values that its recipe, then its tuning, give in their place; cfg itself without either.

    What the command line says itself stays as it says it. processes: that share each batch. Raises UserError, as the
    recipe and the tuning do, and where both would try values.
    """
    recipe = cfg.get("recipe")
    if recipe and cfg.get("tuning") and recipe.get("_target_") in TRYING:
        raise UserError(
            f"recipe={recipe._target_.rpartition('.')[2]} and tuning both try values and choose the best; leave one of "
            "them away (recipe=null or tuning=null)"
        )
    for key in ("recipe", "tuning"):
        if cfg.get(key):
            cfg = _with_recipe(key, cfg, processes)
    return cfg


def _with_recipe(key: str, cfg: DictConfig, processes: int) -> DictConfig:
    values: Mapping[str, Any] = instantiate(cfg[key], _partial_=True, _recursive_=False)(cfg=cfg, processes=processes)
    fixed = command_line_keys()
    if rank_environment.rank() == 0:
        records = (CHOSEN, TUNED)  # logged as a table
        logged = {k: value for k, value in values.items() if k not in records and not is_on_command_line(k, fixed)}
        log.info("%s", " ".join(f"{key}={_shown(value)}" for key, value in logged.items()))
        if unchanged := [key for key in values if is_on_command_line(key, fixed)]:
            log.info("left as the command line says: %s", ", ".join(unchanged))
    return with_values(cfg, values, without=key)


def with_values(cfg: DictConfig, values: Mapping[str, Any], *, without: str = "recipe") -> DictConfig:
    """The config with these values where the command line does not say its own, and without what gave them."""
    fixed = command_line_keys()
    plain = deepcopy(cfg)
    with open_dict(plain):
        plain.pop(without, None)
        for key, value in values.items():
            if not is_on_command_line(key, fixed):
                OmegaConf.update(plain, key, value, merge=False, force_add=True)
    return plain


def write_run_config(cfg: DictConfig, folder: Path) -> None:
    """Write a config, its recipe applied, into the run's folder, where resuming and other tasks read it."""
    if rank_environment.rank() == 0:
        write_config(cfg, folder / ".hydra" / "config.yaml")


def command_line_keys() -> set[str]:
    """The values that the job's own overrides set, where a file of a group is mounted deeper down that place too.

    The choice of a whole group (backbone=resnet50, trainer=ddp) sets none: the recipe's numbers are for any.
    """
    if not HydraConfig.initialized():
        return set()
    keys = [override.lstrip("+~").partition("=")[0] for override in job_overrides()]
    places = [key.rpartition("@")[2] for key in keys]
    return {place for place in places if "." in place}


def is_on_command_line(key: str, keys: Collection[str]) -> bool:
    """Whether a key, or a mapping that it lies in, is among these."""
    parts = key.split(".")
    return any(".".join(parts[: end + 1]) in keys for end in range(len(parts)))


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_shown(inner)}" for key, inner in value.items()) + "}"
    return str(value).replace(" ", "")

"""The config of a run, composed in Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf, open_dict

from headstart.cli.command_arguments import arguments
from headstart.cli.command_check import checked
from headstart.cli.hydra_run import working_folder_importable
from headstart.runs.folder.run_naming import register
from headstart.types import UserError


def compose(overrides: Sequence[str] = (), *, config_dir: str | Path | None = None) -> DictConfig:
    """The config that `headstart <overrides>` runs with, each key and value checked.

    Args:
        overrides: As on the command line, one a string: ["mode=fine_tuning", "target.shots=5"].
        config_dir: A folder of your own YAML files, as --config-dir has it.

    Returns:
        The config; its `run_dir` is the folder that headstart.run would use.

    Raises:
        UserError: An override is wrong, or several runs are asked for.
    """
    register()
    words = [*overrides, *([] if config_dir is None else ["--config-dir", str(config_dir)])]
    with working_folder_importable():
        command = checked(arguments(words))
    if command.multirun:
        raise UserError("these overrides name a study, which is several runs, each with a config of its own")
    cfg = command.cfg.copy()
    folder = str(OmegaConf.select(cfg, "hydra.run.dir"))
    with open_dict(cfg):
        del cfg["hydra"]
        cfg.run_dir = folder
    return cfg

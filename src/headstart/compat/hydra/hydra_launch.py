"""Jobs that Hydra runs from a config loader that the caller has made.

Relies on: `hydra._internal.hydra.Hydra` has `create_main_hydra2`, a `config_loader` that may be replaced, `run` and
`multirun`, as `hydra.main` uses them; the `_target_` of the sweeper that it has by default is this one.
"""

from __future__ import annotations

from hydra._internal.hydra import Hydra
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.types import TaskFunction

# Hydra's own sweeper, which runs each combination of listed values
BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


def run_jobs(
    loader: ConfigLoader, config_name: str, task: TaskFunction, overrides: list[str], *, name: str, multirun: bool
) -> object:
    """Do what `hydra.main` does with a command that runs, with this loader in the place of a new one.

    What comes back is what the sweeper, or the one job, returns.

    Args:
        loader: Composes the configs.
        config_name: The primary config.
        task: What each job calls with its config.
        overrides: Of the command.
        name: Of the command, as `hydra.job.name` has it.
        multirun: Whether overrides are swept.

    Raises:
        Exception: What a job raises.
    """
    hydra = Hydra.create_main_hydra2(name, loader.get_search_path())
    try:
        hydra.config_loader = loader
        run = hydra.multirun if multirun else hydra.run
        returned: object = run(config_name, task, overrides)
        return returned
    finally:
        GlobalHydra.instance().clear()

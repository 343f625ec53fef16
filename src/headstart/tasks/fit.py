"""What happens when a run is started?"""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from headstart import launch
from headstart.tasks.agreement import agree, of_first, wait_for_all
from headstart.tasks.devices import needed_processes
from headstart.tasks.folders import finished
from headstart.tasks.names import OF_THE_COMMAND, config_hash
from headstart.tasks.parts import USUAL, check_adaptation, check_adapters
from headstart.tasks.ranks import run_apart, run_ranks
from headstart.tasks.rules import settled, write_down
from headstart.tasks.selection import check_selection
from headstart.tasks.source import waits_for_source
from headstart.tasks.train import quieten, train
from headstart.types import UserError

log = logging.getLogger(__name__)


def fit(*, cfg: DictConfig) -> float:
    """Train one model in the run's folder, unless a finished run of the same hash is there -> its val figure.

    On several devices by as many processes (tasks/ranks.py), unless torchrun or SLURM has started them: then
    this is one of them. The value is what an adaptive sweeper maximises: the best checkpoint's val accuracy,
    of several labels its mean average precision, with a selection its figure (negative where less is better), never a
    test figure; all ranks give the same.
    """
    quieten()
    folder = Path(cfg.run_dir)
    processes = needed_processes(cfg.trainer)
    starts_ranks = processes > 1 and launch.launcher() is None
    if processes > 1 and not starts_ranks:
        agree(cfg)
    result = of_first(None if cfg.rerun else finished(folder))
    if result is not None:
        log.info("%s is finished, %s %.3f (rerun=true runs it again)", folder.name, _figure(result), _value(result))
        return _value(result)
    if (plain := settled(cfg, processes=processes)) is not cfg:
        cfg = plain
        write_down(cfg, folder)
    check_adapters(cfg)
    check_selection(cfg)
    check_adaptation(cfg)
    if processes > 1 and launch.launcher() != "headstart":
        _prepare_source(cfg, folder)
    if starts_ranks:
        run_ranks(folder, processes, changes=_changes(cfg))
        result = finished(folder)
        if result is None:
            raise UserError(f"all ranks ended well, but there is no result in {folder}; is the folder on this machine?")
        return _value(result)
    about = {
        "study": folder.parent.name,
        "name": folder.name,
        "hash": config_hash(cfg),
        "overrides": [one for one in HydraConfig.get().overrides.task if one.partition("=")[0] not in OF_THE_COMMAND],
    }
    return float(of_first(_value(train(cfg, folder, about=about))))


def _prepare_source(cfg: DictConfig, folder: Path) -> None:
    """See to it that the source model is there: in a process of its own, so that what it leaves in memory ends with it.

    Its metrics would otherwise wait for the other ranks, and a GPU stay taken.
    """
    waits = of_first(waits_for_source(cfg))
    if waits and launch.rank() == 0:
        run_apart(folder, "source", changes=_changes(cfg))
    if waits:
        wait_for_all(long=True)


def _changes(cfg: DictConfig) -> dict[str, Any]:
    """What a command may set otherwise than the folder's config.yaml says."""
    return {key: cfg[key] for key in OF_THE_COMMAND if key in cfg}


def _figure(result: dict[str, Any]) -> str:
    return str(result.get("monitor", USUAL))  # a result of before 0.3 has none


def _value(result: dict[str, Any]) -> float:
    """The figure, larger is better; nan of a run that diverged and has none."""
    selection = result.get("selection")  # an older result has no such key
    value = result["metrics"][_figure(result) if selection is None else selection["figure"]]
    if value is None:  # JSON has no nan
        return math.nan
    return -float(value) if selection is not None and selection["mode"] == "min" else float(value)

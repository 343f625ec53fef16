"""What happens when a run is started?"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from headstart import launch
from headstart.report.files import write_whole
from headstart.tasks.agreement import agree, of_first, wait_for_all
from headstart.tasks.control import check_control
from headstart.tasks.devices import needed_processes
from headstart.tasks.folders import finished
from headstart.tasks.names import CONTROL, OF_THE_COMMAND, config_hash, own_overrides
from headstart.tasks.once import LOCK, held_alone
from headstart.tasks.parts import USUAL, check_adaptation, check_adapters
from headstart.tasks.ranks import run_apart, run_ranks
from headstart.tasks.rules import settled, write_down
from headstart.tasks.selection import check_selection
from headstart.tasks.source import waits_for_source
from headstart.tasks.train import quieten, train
from headstart.tasks.without_validation import check_without_validation
from headstart.types import UserError

log = logging.getLogger(__name__)


def fit(*, cfg: DictConfig) -> float:
    """Train one model in the run's folder, unless a finished run of the same hash is there -> its val figure.

    On several devices by as many processes (tasks/ranks.py), unless torchrun or SLURM has started them: then
    this is one of them. The value is what an adaptive sweeper maximises: the best checkpoint's val accuracy,
    of several labels its mean average precision, with a selection its figure (negative where less is better), never a
    test figure; all ranks give the same. A run without validation images has no such figure and gives nan.
    """
    quieten()
    folder = Path(cfg.run_dir)
    is_idle = bool(cfg.get(CONTROL)) and not cfg.reuse
    if is_idle:
        log.info("mode=%s takes no weights of a source: with control=true it is the same run as without", cfg.mode)
        # whoever adds controls to a study means to run those again, not what they are compared with
        cfg = _with(cfg, {CONTROL: False, "rerun": False})
    if cfg.reuse or launch.launcher() is not None:
        return _fitted(cfg, folder)
    # such a run may be two jobs of a sweep, with and without control=true, and a launcher may start both at once
    folder.mkdir(parents=True, exist_ok=True)
    with held_alone(folder / LOCK, what=f"the run {folder.name}"):
        if is_idle:
            _write_as_without(cfg, folder)
        return _fitted(cfg, folder)


def _fitted(cfg: DictConfig, folder: Path) -> float:
    """The val figure of the run in the folder, trained now unless it is finished."""
    processes = needed_processes(cfg.trainer)
    starts_ranks = processes > 1 and launch.launcher() is None
    if processes > 1 and not starts_ranks:
        agree(cfg)
    result = of_first(None if cfg.rerun else finished(folder))
    if result is not None:
        log.info("%s is finished%s (rerun=true runs it again)", folder.name, _shown(result))
        return _value(result)
    check_without_validation(cfg)
    if (plain := settled(cfg, processes=processes)) is not cfg:
        cfg = plain
        write_down(cfg, folder)
    check_adapters(cfg)
    check_selection(cfg)
    check_adaptation(cfg)
    check_control(cfg)
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
        "overrides": own_overrides(cfg, HydraConfig.get().overrides.task),
    }
    return float(of_first(_value(train(cfg, folder, about=about))))


def _with(cfg: DictConfig, values: Mapping[str, Any]) -> DictConfig:
    plain = deepcopy(cfg)
    with open_dict(plain):
        plain.update(values)
    return plain


def _write_as_without(cfg: DictConfig, folder: Path) -> None:
    """Let the folder's files say the config and overrides of the run without `control`, as its name does."""
    if (folder / ".hydra").is_dir():
        write_down(cfg, folder)
        overrides = OmegaConf.create(own_overrides(cfg, HydraConfig.get().overrides.task))
        write_whole(folder / ".hydra" / "overrides.yaml", OmegaConf.to_yaml(overrides))


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


def _shown(result: dict[str, Any]) -> str:
    return f", {_figure(result)} {_value(result):.3f}" if result.get("evaluations", True) else ", without validation"


def _value(result: dict[str, Any]) -> float:
    """The figure, larger is better; nan of a run without validation, or one that diverged and has none."""
    if not result.get("evaluations", True):  # no validation, no figure of one
        return math.nan
    selection = result.get("selection")  # an older result has no such key
    value = result["metrics"][_figure(result) if selection is None else selection["figure"]]
    if value is None:  # JSON has no nan
        return math.nan
    return -float(value) if selection is not None and selection["mode"] == "min" else float(value)

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
from headstart.callbacks.divergence import told
from headstart.report.curves import lower_is_better
from headstart.report.files import write_whole
from headstart.report.runs import rows_in
from headstart.tasks.agreement import agree, of_first, wait_for_all
from headstart.tasks.control import check_control
from headstart.tasks.counting import target_data
from headstart.tasks.devices import made_trainer, needed_processes
from headstart.tasks.folders import finished
from headstart.tasks.names import CONTROL, OF_THE_COMMAND, config_hash, own_overrides
from headstart.tasks.once import LOCK, held_alone
from headstart.tasks.parts import USUAL, adaptation_of, check_adaptation, check_adapters
from headstart.tasks.plan import run_of
from headstart.tasks.ranks import run_apart, run_ranks
from headstart.tasks.rules import settled, write_down
from headstart.tasks.selection import check_selection
from headstart.tasks.source import waits_for_source
from headstart.tasks.train import quieten, train
from headstart.tasks.without_validation import check_without_validation
from headstart.types import DivergedError, UserError

log = logging.getLogger(__name__)


def fit(*, cfg: DictConfig) -> float:
    """Train one model in the run's folder, unless a finished run of the same hash is there -> its val figure.

    On several devices by as many processes (tasks/ranks.py), unless torchrun or SLURM has started them: then
    this is one of them. The value is what an adaptive sweeper maximises: of the curve of val accuracy, of several
    labels of mean average precision, with a selection of its figure (negative where less is better), what
    cfg.objective says: `best_trained`, the best after the first step, `last`, the one at the end, `best`, that of the
    best checkpoint, which may be step 0. Where the newest checkpoint counts it is the last. Never a test figure; all
    ranks give the same. A run without validation images has no such figure and gives nan. Raises DivergedError of a
    run that diverged, also of one that is there already.
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
        if result.get("state") != "diverged":
            log.info("%s is finished%s (rerun=true runs it again)", folder.name, _shown(result))
        return _outcome(cfg, folder, result)
    check_without_validation(cfg)
    if (plain := settled(cfg, processes=processes)) is not cfg:
        cfg = plain
        write_down(cfg, folder)
    check_adapters(cfg)
    check_selection(cfg)
    check_adaptation(cfg)
    check_control(cfg)
    _check_target(cfg, processes)
    if processes > 1 and launch.launcher() != "headstart":
        _prepare_source(cfg, folder)
    if starts_ranks:
        run_ranks(folder, processes, changes=_changes(cfg))
        result = finished(folder)
        if result is None:
            raise UserError(f"all ranks ended well, but there is no result in {folder}; is the folder on this machine?")
        return _outcome(cfg, folder, result)
    about = {
        "study": folder.parent.name,
        "name": folder.name,
        "hash": config_hash(cfg),
        "overrides": own_overrides(cfg, HydraConfig.get().overrides.task),
    }
    result = train(cfg, folder, about=about)
    if launch.launcher() == "headstart":  # the process that has started this one reads the result
        return math.nan
    return _outcome(cfg, folder, of_first(result))


def _check_target(cfg: DictConfig, processes: int) -> None:
    """Raise UserError where the target's data or the run's length are wrong, before a source model is trained."""
    if waits_for_source(cfg):
        data = target_data(cfg)
        if adaptation_of(cfg) is None:  # else the batches are of two data sets
            run_of(data, made_trainer(cfg.trainer, logger=False), processes=processes)


def _outcome(cfg: DictConfig, folder: Path, result: dict[str, Any]) -> float:
    """The figure of a run that has its result. Raises DivergedError where training has diverged."""
    if result.get("state") == "diverged":
        first = result.get("divergence") or {}  # an older result does not say more
        raise DivergedError(f"{folder.name}: {told(first, 'optimizer.lr')}; rerun=true runs it again")
    # of rank 0, which alone is sure to have the file of the curve on its disk
    return float(of_first(_value(cfg, folder, result) if launch.rank() == 0 else math.nan))


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
    value = result["metrics"].get(_figure(result))
    if not result.get("evaluations", True):
        return ", without validation"
    return f", {_figure(result)} {math.nan if value is None else value:.3f}"


def _value(cfg: DictConfig, folder: Path, result: dict[str, Any]) -> float:
    """What cfg.objective says of the run's curve, larger is better; nan of a run without validation."""
    if not result.get("evaluations", True):  # no validation, no figure of one
        return math.nan
    selection = result.get("selection")  # an older result has no such key
    figure = _figure(result) if selection is None else selection["figure"]
    mode = "max" if selection is None else selection["mode"]
    sign = -1 if mode == "min" or (mode == "last" and lower_is_better(figure)) else 1
    kept = result["metrics"][figure]
    objective = cfg.get("objective", "best")
    try:
        rows = {} if objective == "best" else rows_in(folder / "metrics.csv")
    except (OSError, ValueError):  # another logger wrote the curve
        rows = {}
    levels = [sign * row[figure] for step, row in rows.items() if step > 0 and math.isfinite(row.get(figure, math.nan))]
    if not levels:
        return math.nan if kept is None else sign * float(kept)  # JSON has no nan
    return levels[-1] if objective == "last" or mode == "last" else max(levels)

"""The loggers of a run: named after it, a run of its own in each, which a resumed run goes on with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger

from headstart.callbacks.loggers.logger_display import show_settings
from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.runs.folder.run_folder import write_json
from headstart.runs.folder.run_naming import is_control
from headstart.runs.training.loggers.shown_settings import Shown, shown_settings
from headstart.system import rank_environment
from headstart.system.files.file_lock import locked
from headstart.types import UserError

FILE = "loggers.json"  # logger -> the name of the run there
WANDB, MLFLOW, COMET = (f"pytorch_lightning.loggers.{name}Logger" for name in ("Wandb", "MLFlow", "Comet"))
# of loggers that a package besides is needed for: the module, the extra, and which parameter names a run to go on with
NEEDED = {
    WANDB: ("wandb", "wandb", "id"),
    MLFLOW: ("mlflow", "mlflow", "run_id"),
    COMET: ("comet_ml", "comet", "experiment_key"),
}
REPLICATES = ("seed", "target.fold")  # settings that do not tell arms apart
LONGEST = 80  # of an arm's name; W&B takes 128 characters of a group and of a run
SQLITE = "sqlite:///"


@dataclass(frozen=True)
class RunNames:
    """What a run is called in loggers that hold the runs of many studies.

    Args:
        study: The folder above its own.
        arm: What it shares with the runs of other seeds.
        name: Its own name, short.
        settings: What tells it from the other runs of its study.
    """

    study: str
    arm: str
    name: str
    settings: Mapping[str, Shown]


def run_names(cfg: DictConfig, folder: Path, about: Mapping[str, Any]) -> RunNames:
    """The names of a run: its arm is its mode and what else differs in its study, its name the arm and the seed.

    Args:
        cfg: The config of the run.
        folder: The run's folder.
        about: Its study, name, hash and overrides.
    """
    settings = shown_settings(cfg, folder, list(about["overrides"]))
    others = [f"{key}={value}" for key, value in settings.items() if key not in ("mode", "control", *REPLICATES)]
    arm = " ".join([str(cfg.mode), *(["control"] if is_control(cfg) else []), *others])
    arm = arm if len(arm) <= LONGEST else f"{arm[: LONGEST - 3]}..."
    replicate = " ".join(f"{key.rpartition('.')[2]} {settings[key]}" for key in REPLICATES if key in settings)
    return RunNames(str(about["study"]), arm, f"{arm} {replicate}".strip(), settings)


def check_packages(cfg: DictConfig) -> None:
    """Raise UserError where a logger's package is not installed.

    Args:
        cfg: The composed config.
    """
    for key, node in cfg.logger.items():
        module, extra, _ = NEEDED.get((node or {}).get("_target_", ""), ("", "", ""))
        if module and find_spec(module) is None:
            raise UserError(
                f"logger={key} needs {module}, which is not installed; try: pip install 'headstart[{extra}]', "
                "or logger=tensorboard"
            )


def made_loggers(cfg: DictConfig, folder: Path, names: RunNames, *, goes_on: bool) -> list[Logger]:
    """The loggers that a config names, whose unset names are the run's.

    Args:
        cfg: The composed config.
        folder: The run's folder.
        names: What it is called.
        goes_on: Whether the run is resumed, so that each logger goes on with the run that it had.

    Raises:
        UserError: A logger's package is not installed.
    """
    check_packages(cfg)
    earlier = _earlier(folder) if goes_on else {}
    nodes = {str(key): node for key, node in cfg.logger.items() if node}
    with _alone(nodes.values()):
        return [instantiate(node, **_set_by_run(node, names, earlier.get(key))) for key, node in nodes.items()]


def begin_loggers(cfg: DictConfig, folder: Path, loggers: Sequence[Logger], names: RunNames) -> None:
    """Begin the run in loggers outside of the folder, tell all loggers its settings, and note which runs these are.

    Args:
        cfg: The composed config.
        folder: The run's folder.
        loggers: That the config made.
        names: What the run is called.
    """
    if rank_environment.rank() > 0:
        return
    nodes = {str(key): node for key, node in cfg.logger.items() if node}
    outside = [
        (key, logger) for (key, node), logger in zip(nodes.items(), loggers, strict=True) if node["_target_"] in NEEDED
    ]
    with _alone(nodes.values()):
        for _, logger in outside:
            _ = logger.experiment  # type: ignore[attr-defined]
    if outside:
        write_json(folder / FILE, {key: logger.version for key, logger in outside})
    show_settings(loggers, {"study": names.study, "arm": names.arm, **names.settings})


def _earlier(folder: Path) -> dict[str, str]:
    """Which runs the run's loggers had, as far as the file says it."""
    try:
        read = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): value for key, value in read.items() if isinstance(value, str)} if isinstance(read, dict) else {}


def _set_by_run(node: DictConfig, names: RunNames, earlier: str | None) -> dict[str, Any]:
    """The parameters of a logger that the run decides: those that its node leaves null or empty."""
    target = node["_target_"]
    if target not in NEEDED:
        return {}
    decided: dict[str, Any] = {NEEDED[target][2]: earlier}
    if target == WANDB:
        decided |= {"name": names.name, "group": f"{names.study}: {names.arm}"[:128], "job_type": names.study[:64]}
    elif target == MLFLOW:
        decided |= {"experiment_name": names.study, "run_name": names.name}
        decided["tags"] = {"study": names.study, "arm": names.arm, "seed": str(names.settings.get("seed", ""))}
        if file := _database(node):
            decided["artifact_location"] = (file.parent / "artifacts").absolute().as_uri()
    else:
        decided |= {"name": names.name, "tags": [names.study, names.arm]}
    return {key: value for key, value in decided.items() if value is not None and node.get(key) in (None, "")}


def _database(node: DictConfig) -> Path | None:
    """The file that an MLflow logger writes to; None where a server takes what it sends."""
    uri = str(OmegaConf.select(node, "tracking_uri") or "")
    return Path(uri.removeprefix(SQLITE)) if node.get("_target_") == MLFLOW and uri.startswith(SQLITE) else None


@contextmanager
def _alone(nodes: Any) -> Iterator[None]:
    """Let jobs that begin at once make the tables of a database, and an experiment in it, one after the other."""
    file = next((file for node in nodes if (file := _database(node))), None)
    if file is None:
        yield
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with locked(Path(f"{file}.lock"), busy=lambda: None, doing="begins a run in MLflow's database"):
        yield

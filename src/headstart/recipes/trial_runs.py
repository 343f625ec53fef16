"""Trials: short runs whose val metrics choose values of the config for a run."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from headstart.callbacks.training.divergence import divergence_message
from headstart.distributed.rank_agreement import of_first, wait_for_all
from headstart.distributed.rank_launcher import run_apart
from headstart.runs.folder.folder_mark import write_mark
from headstart.runs.folder.run_folder import finished
from headstart.runs.folder.run_naming import OF_THE_COMMAND, OF_THE_TESTS, hashes, safe
from headstart.runs.folder.training_lock import made_once
from headstart.runs.saved.config_writing import unwritten, write_config
from headstart.runs.training.train_run import train
from headstart.system import rank_environment

log = logging.getLogger(__name__)
TRIALS = Path("outputs/trials")  # shared by all studies
# a trial is trained on one device, and looks at no test image
ALONE = {"devices": 1, "num_nodes": 1, "strategy": "auto", "limit_test_batches": 0}
PICTURES = ("figures", "domains", "explain")  # callbacks that a trial goes without
LOGGER = {
    "csv": {"_target_": "pytorch_lightning.loggers.CSVLogger", "save_dir": "${run_dir}", "name": "", "version": ""}
}
_HERE: ContextVar[bool] = ContextVar("the process that trains the trials", default=False)


@dataclass(frozen=True)
class Trial:
    """A run that says how good some values are, before the run that will have the best of them.

    values: what it tries, by the config's dotted keys.
    """

    cfg: DictConfig
    hash: str
    values: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        return Path(self.cfg.run_dir)


def trial_of(cfg: DictConfig, keys: Iterable[str], *, name: Iterable[str] = ()) -> Trial:
    """The run of a config, its recipe applied, as a trial, found by the hash of the config.

    keys: whose values it tries. name: what the folder's name says besides.
    """
    plain = deepcopy(cfg)
    with open_dict(plain):
        for key, value in ALONE.items():
            plain.trainer[key] = value
        for key in (*OF_THE_COMMAND, OF_THE_TESTS):
            plain.pop(key, None)
        if plain.task == "plan":  # whose trials are those of the run
            plain.pop(plain.task, None)
            plain.task, plain.fit = "fit", {"_target_": "headstart.tasks.fit.fit"}
    values = {key: OmegaConf.select(plain, key) for key in keys}
    shown_values = [f"{key.rpartition('.')[2]}={value}" for key, value in values.items()]
    control = ["control"] if cfg.get("control") and cfg.reuse else []
    title = ",".join(
        [_last_part(plain.target), _last_part(plain.backbone), str(plain.mode), *control, *shown_values, *name]
    )
    digest, earlier = hashes(plain)
    if finished(TRIALS / f"{safe(title)}-{earlier}"):
        digest = earlier
    with open_dict(plain):
        plain.run_dir = (TRIALS / f"{safe(title)}-{digest}").as_posix()
        plain.resume = cfg.get("resume")
    return Trial(plain, digest, values)


def without_pictures(cfg: DictConfig) -> DictConfig:
    """A copy of a config whose run keeps its curve in metrics.csv alone, and measures no start but its own.

    Args:
        cfg: Of a run.
    """
    plain = deepcopy(cfg)
    with open_dict(plain):
        plain.logger = LOGGER
        for name in PICTURES:
            plain.callbacks.pop(name, None)
        if "start_class_means" in plain:
            plain.start_class_means = False
    return plain


def trial_results(trials: Sequence[Trial], cfg: DictConfig, *, processes: int) -> list[dict[str, Any]]:
    """Train the trials that are not there -> the results of all.

    Each is trained once: whoever asks for the same one waits. processes: of the run; with several the trials are
    trained in a process of one device, while all ranks wait.
    """
    if trains_in_this_process(processes):
        for number, trial in enumerate(trials, 1):
            trained_trial(trial, f"{number} of {len(trials)}")
    else:
        waits = of_first(not all_finished(trials))
        if waits and rank_environment.rank() == 0:
            run_apart(Path(cfg.run_dir), "trial", changes=unwritten(cfg))
        if waits:
            wait_for_all(long=True)
    return [finished(trial.folder) or {} for trial in trials]


def all_finished(trials: Iterable[Trial]) -> bool:
    """Whether all trials are finished."""
    return all(finished(trial.folder) is not None for trial in trials)


def trains_in_this_process(processes: int) -> bool:
    """Whether this process trains the trials of a run on so many processes."""
    return processes == 1 or _HERE.get()


@contextmanager
def training_in_this_process() -> Iterator[None]:
    """Within it this process trains the trials itself, however many processes the run has."""
    token = _HERE.set(True)
    try:
        yield
    finally:
        _HERE.reset(token)


def trained_trial(trial: Trial, number: str, *, callbacks: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The result of a trial, trained now if it is not there; whoever asks for the same one waits.

    Args:
        trial: To train.
        number: Which it is, in a line of the log.
        callbacks: Nodes of further callbacks by name, which can end the trial but change no metric of one that ends by
            itself: they are not in its config and its hash.
    """
    folder = trial.folder

    def make() -> dict[str, Any]:
        log.info("trial %s: %s", number, folder.name)
        write_mark(folder, trial.hash, asked=trial.hash)
        write_config(trial.cfg, folder / "config.yaml")
        about = {"study": TRIALS.name, "name": folder.name, "hash": trial.hash, "overrides": []}
        result = train(with_callbacks(trial.cfg, callbacks or {}), folder, about=about)
        if (divergence := (finished(folder) or {}).get("divergence")) is not None:
            log.warning("%s: %s", folder.name, divergence_message(divergence, "optimizer.lr"))
        return result

    return made_once(folder, trial.hash, make, what="trial")


def with_callbacks(cfg: DictConfig, callbacks: Mapping[str, Any]) -> DictConfig:
    """A config with further callbacks.

    Args:
        cfg: Of a run.
        callbacks: Their nodes by name.
    """
    if not callbacks:
        return cfg
    plain = deepcopy(cfg)
    with open_dict(plain):
        plain.callbacks = {**plain.callbacks, **callbacks}
    return plain


def _last_part(node: DictConfig) -> str:
    return str(node["_target_"]).rpartition(".")[2].lower()

"""The chosen model: trained for what is left of the time, tested once."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict

from headstart.recipes.shortened_config import lengths, shortened
from headstart.recipes.trial_runs import with_callbacks
from headstart.runs.candidates.choosing.arm import ComparedArm, with_values
from headstart.runs.candidates.choosing.time_left import TimeLeft
from headstart.runs.candidates.choosing.timed_halving import DEADLINE, TriedPair
from headstart.runs.folder.folder_mark import write_mark
from headstart.runs.folder.run_folder import write_json
from headstart.runs.folder.run_naming import config_hash
from headstart.runs.folder.training_lock import whole_result
from headstart.runs.saved.config_writing import write_config
from headstart.runs.training.train_run import train
from headstart.runs.weights.weights_preprocessing import with_weights_preprocessing

log = logging.getLogger(__name__)
MODEL, CHOICE = "model", "choice.json"
USED = 0.85  # of the time that is left, so that the last validation and the test are in time


@dataclass(frozen=True)
class ModelChoice:
    """What is trained in the end.

    Attributes:
        candidate: Its text.
        mode: As mode= has it.
        values: Of the chosen setting, by dotted keys.
        epochs: Of the run; None where optimizer steps say how long it is.
    """

    candidate: str
    mode: str
    values: Mapping[str, float]
    epochs: int | None


def choice_of(arm: ComparedArm, tried: TriedPair | None, time_left: TimeLeft) -> ModelChoice:
    """The choice of a pair, with as many epochs as fit into the time that is left.

    Args:
        arm: The chosen one.
        tried: Its last trial; None where no trial was in time: then the arm as it comes is chosen.
        time_left: Of the command.
    """
    values = dict(arm.settings[tried.pair.setting if tried else 0])
    longest = arm.cfg.trainer.get("max_epochs") or -1
    if longest <= 0:
        return ModelChoice(arm.candidate, arm.mode, values, None)
    epochs = int(longest)
    if tried is not None and tried.result is not None:
        seconds = (tried.result["wall_s"] + tried.result["setup_s"]) / tried.epochs
        epochs = max(1, min(epochs, math.floor(USED * time_left.left / max(seconds, 1e-9))))
    return ModelChoice(arm.candidate, arm.mode, values, epochs)


def noted_choice(folder: Path) -> ModelChoice | None:
    """The choice that an earlier process of the same command made; None where it did not come so far.

    Args:
        folder: Of the command.
    """
    try:
        choice = ModelChoice(**json.loads((folder / CHOICE).read_text(encoding="utf-8")))
        values = choice.values.values()
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    is_whole = all(isinstance(value, int | float) for value in values) and _is_count(choice.epochs)
    return choice if is_whole else None  # a damaged file is none


def _is_count(epochs: object) -> bool:
    return epochs is None or (isinstance(epochs, int) and not isinstance(epochs, bool) and epochs >= 1)


def chosen_model(arm: ComparedArm, choice: ModelChoice, folder: Path, time_left: TimeLeft) -> dict[str, Any]:
    """Train the chosen model in the folder model/ below, or go on with it -> its result.

    It ends with the epoch in which the time ends. Its best checkpoint on val is tested, once.

    Args:
        arm: The chosen one.
        choice: What is trained.
        folder: Of the command.
        time_left: Of the command.
    """
    write_json(folder / CHOICE, asdict(choice))
    place = folder / MODEL
    cfg = model_config(arm, choice, place)
    digest = config_hash(cfg)
    known = whole_result(place)
    if known is not None and known.get("hash") == digest:
        return known
    write_mark(place, digest, asked=digest)
    write_config(cfg, place / "config.yaml")
    log.info("%s, mode=%s %s: %s epochs, in %s", choice.candidate, choice.mode, choice.values, choice.epochs, place)
    node = {"_target_": DEADLINE, "at": time_left.moment(1.0), "then": "end_epoch"}
    about = {"study": folder.name, "name": MODEL, "hash": digest, "overrides": []}
    with open_dict(cfg):
        cfg.resume = "auto"
    return train(with_callbacks(cfg, {"deadline": node}), place, about=about)


def model_config(arm: ComparedArm, choice: ModelChoice, place: Path) -> DictConfig:
    """The config of the chosen model.

    Args:
        arm: The chosen one.
        choice: What is trained.
        place: The model's folder.
    """
    cfg = with_values(with_weights_preprocessing(arm.cfg), choice.values)
    longest = int(cfg.trainer.get("max_epochs") or -1)
    if choice.epochs is not None and choice.epochs < longest:
        (length,) = lengths(cfg.trainer, [choice.epochs / longest], 1)
        cfg = shortened(cfg, length)
    with open_dict(cfg):
        cfg.run_dir = place.as_posix()
    return cfg


def ended_early(choice: ModelChoice, result: Mapping[str, Any]) -> bool:
    """Whether the time ended before the model's last epoch.

    Args:
        choice: What was to be trained.
        result: Of the model.
    """
    evaluations = result.get("evaluations") or []
    last = float(evaluations[-1]["epoch"]) if evaluations else 0.0
    return choice.epochs is not None and last < choice.epochs and result.get("state") != "diverged"

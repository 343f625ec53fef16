"""A longer run that goes on where a finished one has ended, in a folder of its own."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import Any, Literal

import torch
from omegaconf import DictConfig, OmegaConf, open_dict

from headstart.callbacks.checkpoints.best_and_last import BEST, LAST
from headstart.callbacks.learning_rates.extended_rates import MARK
from headstart.runs.continuing.resume_point import damage_of
from headstart.runs.folder.run_folder import finished
from headstart.runs.folder.run_naming import LONGEST, config_hash, job_overrides, own_overrides, safe
from headstart.runs.saved.allowed_objects import content
from headstart.runs.saved.config_writing import write_config
from headstart.runs.saved.finished_run import changed_since
from headstart.runs.saved.saved_job import saved_job
from headstart.system.files.atomic_write import write_whole
from headstart.system.files.checkpoint_reading import loaded
from headstart.types import UserError

log = logging.getLogger(__name__)
LENGTHS = ("trainer.max_epochs", "trainer.max_steps")
EXTENDED = "extended"  # in the longer run's config: of which run, from where on, by which schedule


def extended_run(folder: Path, *, key: str, length: int, schedule: Literal["new_length", "held"]) -> Path:
    """The folder of the run that goes on where the finished run in a folder has ended; laid out if it is not there.

    Its config is that of the shorter run with the new length, and says which run it extends: so its hash is no other
    run's. Its checkpoint is the last one of the shorter run, whose folder stays as it is.

    Raises UserError where the run is not finished, diverged or was stopped early, has no whole last checkpoint, its
    length is not set by this key, or it has reached the length already.
    """
    cfg = saved_job(folder)
    result = _result(folder, cfg, key, length)
    checkpoint = _last_checkpoint(folder)
    is_epochs = key == LENGTHS[0]
    reached = int(checkpoint["epoch" if is_epochs else "global_step"])
    if length <= reached:
        raise UserError(
            f"{key} must be more than the {reached} that the run in {folder} was trained for, got {length}; "
            f"try {key}={2 * reached}"
        )
    about = {"parent": result["hash"], "epochs" if is_epochs else "steps": reached, "schedule": schedule}
    with open_dict(cfg):
        OmegaConf.update(cfg, key, length)
        cfg[EXTENDED] = about
    digest = config_hash(cfg)
    stem = folder.resolve().name.removesuffix(f"-{result['hash']}")
    own = f",{key}={length},extended_lr={schedule}"
    longer = folder.resolve().parent / f"{safe(stem)[: LONGEST - len(own)]}{own}-{digest}"
    if not (longer / "checkpoints" / LAST).exists():
        _lay_out(longer, folder, cfg, key, checkpoint | {"run_hash": digest, MARK: True})
    return longer


def told(cfg: DictConfig) -> str:
    """What a longer run says of itself as it begins."""
    about = cfg[EXTENDED]
    unit = "epochs" if "epochs" in about else "steps"
    length = cfg.trainer[f"max_{unit}"]
    rates = (
        f"the schedule of learning rates is that of {length} {unit} from there on"
        if about.schedule == "new_length"
        else "the learning rates stay as they were at the end"
    )
    return f"extends run {about.parent} from {about[unit]} to {length} {unit}; {rates}"


def parent_of(cfg: DictConfig) -> dict[str, Any] | None:
    """What result.json says of the run that a longer one extends; None of any other."""
    about = cfg.get(EXTENDED)
    if not about:
        return None
    plain = OmegaConf.to_container(about)
    assert isinstance(plain, dict)
    return {"hash": plain.pop("parent"), **{str(key): value for key, value in plain.items()}}


def _result(folder: Path, cfg: DictConfig, key: str, length: int) -> dict[str, Any]:
    """That of the shorter run."""
    result = finished(folder)
    if result is None:
        raise UserError(
            f"{key}={length} extends a finished run, and the one in {folder} has not ended; try: headstart "
            f"resume={folder}"
        )
    if result.get("state") == "diverged":
        raise UserError(f"the run in {folder} has diverged, and more of it would be no better; try a smaller rate")
    if damage := changed_since(folder, result, folder / "checkpoints" / BEST):
        raise UserError(f"the run in {folder} cannot be extended: its {BEST} is damaged ({damage})")
    own = next((name for name in LENGTHS if (OmegaConf.select(cfg, name) or -1) > 0), None)
    if key != own:
        raise UserError(f"the length of the run in {folder} is set by {own}, got {key}; try {own}=...")
    return result


def _last_checkpoint(folder: Path) -> dict[str, Any]:
    path = folder / "checkpoints" / LAST
    if not path.exists():
        raise UserError(f"there is no {path} to go on from; was the run started without callbacks.checkpoint?")
    if damage := damage_of(path):
        raise UserError(f"the run in {folder} cannot be extended: its {LAST} is damaged ({damage})")
    checkpoint: dict[str, Any] = loaded(path)
    if checkpoint.get("should_stop"):
        raise UserError(
            f"the run in {folder} was stopped early by a callback after {int(checkpoint['epoch'])} epochs; a greater "
            "length would change nothing; start a run with other settings of that callback"
        )
    return checkpoint


def _lay_out(longer: Path, folder: Path, cfg: DictConfig, key: str, last: dict[str, Any]) -> None:
    """Make the longer run's folder; its last.ckpt comes last, as nothing goes on where it is missing."""
    shutil.copytree(folder / ".hydra", longer / ".hydra", dirs_exist_ok=True)
    write_config(cfg, longer / ".hydra" / "config.yaml", like=folder / ".hydra" / "config.yaml")
    hydra = content(folder / ".hydra" / "hydra.yaml")
    # what tells this run from others in a report, which compares arms by their overrides
    own = [
        *(
            override
            for override in own_overrides(cfg, job_overrides())
            if override.lstrip("+").partition("=")[0] != key
        ),
        f"{key}={OmegaConf.select(cfg, key)}",
        *(f"+{EXTENDED}.{name}={value}" for name, value in cfg[EXTENDED].items() if name != "parent"),
    ]
    hydra["hydra"]["overrides"]["task"] = own
    write_whole(longer / ".hydra" / "hydra.yaml", OmegaConf.to_yaml(OmegaConf.create(hydra)))
    write_whole(longer / ".hydra" / "overrides.yaml", OmegaConf.to_yaml(OmegaConf.create(own)))
    (longer / "checkpoints").mkdir(exist_ok=True)
    for events in folder.glob("events.out.tfevents.*"):
        shutil.copy2(events, longer)
    shutil.copy2(folder / "checkpoints" / BEST, longer / "checkpoints" / BEST)
    partial = longer / "checkpoints" / f"{LAST}.partial"
    torch.save(last, partial)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(longer / "checkpoints" / LAST)

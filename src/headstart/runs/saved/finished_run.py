"""A finished run as tasks take it that go on with its model: result, config, checkpoint, each found whole."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from headstart.report.result_digests import KEY as FILES
from headstart.report.result_digests import changed_files
from headstart.runs.continuing.resume_point import damage_of
from headstart.runs.folder.run_folder import CHECKPOINTS, finished, is_pruned, result_damage
from headstart.runs.saved.saved_config import saved_config
from headstart.runs.saved.settings_added_later import with_later
from headstart.system.files.checkpoint_reading import loaded
from headstart.system.files.setting_paths import given_path
from headstart.system.result_format import pruned_text
from headstart.types import Pixels, UserError

log = logging.getLogger(__name__)

CheckpointName = Literal["best", "last", "interpolated", "soup"]  # the last two by the tasks of these names


class SavedRun(NamedTuple):
    """Of a finished run: its folder, its result, the config that it was made with, the weights of a checkpoint."""

    folder: Path
    result: dict[str, Any]
    cfg: DictConfig
    checkpoint: Path

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.result["class_names"])

    @property
    def several(self) -> bool:
        """Whether an image may have several labels."""
        return bool(self.result.get("multi_label", False))

    @property
    def regression(self) -> bool:
        """Whether the targets are numbers."""
        return bool(self.result.get("regression", False))

    @property
    def known(self) -> DictConfig:
        """A node of data that know the run's classes and nothing more."""
        kind = {"multi_label": self.several, "regression": self.regression}
        return OmegaConf.create({"_target_": f"{__name__}.Known", "class_names": list(self.class_names), **kind})

    def state(self) -> dict[str, Tensor]:
        """The module's weights, on the CPU."""
        tensors: dict[str, Tensor] = loaded(self.checkpoint)["state_dict"]
        return tensors


class Known:
    """The classes of a run, in the place of data that need not be there."""

    def __init__(
        self, *, class_names: list[str], multi_label: bool, pixels: Pixels, seed: int, regression: bool = False
    ) -> None:
        self.class_names, self.num_classes = tuple(class_names), len(class_names)
        self.multi_label, self.regression = multi_label, regression
        self.pixels, self.seed = pixels, seed


def saved_run(run_dir: str | Path, checkpoint: CheckpointName) -> SavedRun:
    """The run in a folder; of one that diverged, or that a search has stopped, a warning says what its weights are.

    Raises UserError where it is not finished, lacks a file, or one of them is damaged.
    """
    folder = given_path(run_dir, "run_dir")
    result = finished(folder)
    if result is None:
        damage = result_damage(folder)
        why = f", whose result.json is damaged ({damage}); rerun=true runs it again" if damage else ""
        raise UserError(f"run_dir must be the folder of a finished run (one with result.json), got {folder}{why}")
    cfg = run_config(folder)  # first: of another person's run nothing else is read before it is allowed
    path = folder / CHECKPOINTS / f"{checkpoint}.ckpt"
    if not path.is_file():
        hint = "was the run started with callbacks.checkpoint?"
        if checkpoint in ("interpolated", "soup"):
            hint = f"task={'interpolate' if checkpoint == 'interpolated' else checkpoint} writes it"
        raise UserError(f"there is no {path}; {hint}")
    if damage := changed_since(folder, result, path) or ("" if _is_told(result, path) else damage_of(path)):
        raise UserError(
            f"{path} is damaged ({damage}), so the metrics of {folder.name} are not this model's; put a whole copy in "
            "its place, or run it again with rerun=true"
        )
    if result.get("state") == "diverged":
        log.warning("training of %s diverged: its weights are those that it had before", folder.name)
    elif is_pruned(result):
        log.warning("%s was %s: its weights are those of then", folder.name, pruned_text(result))
    return SavedRun(folder, result, cfg, path)


def changed_since(folder: Path, result: Mapping[str, Any], checkpoint: Path) -> str:
    """How a checkpoint differs from the one that the finished run wrote; empty where it does not, or nobody knows."""
    if changed_files(folder, result, (f"{CHECKPOINTS}/{checkpoint.name}",)):
        return f"its SHA-256 is not the one in {folder.name}/result.json"
    return ""


def _is_told(result: Mapping[str, Any], checkpoint: Path) -> bool:
    told = result.get(FILES)
    return isinstance(told, dict) and f"{CHECKPOINTS}/{checkpoint.name}" in told


def run_config(folder: Path) -> DictConfig:
    """The config that a run was made with, with the settings that came later.

    Raises UserError where there is none, or it is another person's and not allowed, as saved_config says.
    """
    for path in (folder / ".hydra" / "config.yaml", folder / "config.yaml"):  # config.yaml: a source's own run
        if path.is_file():
            cfg = OmegaConf.create(with_later(saved_config(path)))
            assert isinstance(cfg, DictConfig)
            return cfg
    raise UserError(f"{folder} has no .hydra/config.yaml, so how the run was made is not known")

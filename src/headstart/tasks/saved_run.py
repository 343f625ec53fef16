"""What is there of a finished run, for a task that goes on with it?"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from headstart.given_path import given_path
from headstart.tasks.folders import finished
from headstart.tasks.later_settings import with_later
from headstart.types import Pixels, UserError


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
    def known(self) -> DictConfig:
        """A node of data that know the run's classes and nothing more."""
        return OmegaConf.create(
            {"_target_": f"{__name__}.Known", "class_names": list(self.class_names), "multi_label": self.several}
        )

    def state(self) -> dict[str, Tensor]:
        """The module's weights, on the CPU."""
        found: dict[str, Tensor] = torch.load(self.checkpoint, map_location="cpu", weights_only=True)["state_dict"]
        return found


class Known:
    """The classes of a run, in the place of data that need not be there."""

    def __init__(self, *, class_names: list[str], multi_label: bool, pixels: Pixels, seed: int) -> None:
        self.class_names, self.num_classes = tuple(class_names), len(class_names)
        self.multi_label = multi_label
        self.pixels, self.seed = pixels, seed


def saved_run(run_dir: str | Path, checkpoint: Literal["best", "last"]) -> SavedRun:
    """The run in a folder. Raises UserError where it is not finished or lacks a file."""
    folder = given_path(run_dir, "run_dir")
    result = finished(folder)
    if result is None:
        raise UserError(f"run_dir must be the folder of a finished run (one with result.json), got {folder}")
    path = folder / "checkpoints" / f"{checkpoint}.ckpt"
    if not path.is_file():
        raise UserError(f"there is no {path}; was the run started with callbacks.checkpoint?")
    return SavedRun(folder, result, run_config(folder), path)


def run_config(folder: Path) -> DictConfig:
    """The config that a run was made with, with the settings that came later."""
    for path in (folder / ".hydra" / "config.yaml", folder / "config.yaml"):  # config.yaml: a source's own run
        if path.is_file():
            cfg = OmegaConf.create(with_later(OmegaConf.to_container(OmegaConf.load(path), resolve=False)))
            assert isinstance(cfg, DictConfig)
            return cfg
    raise UserError(f"{folder} has no .hydra/config.yaml, so how the run was made is not known")

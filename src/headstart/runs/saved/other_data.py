"""Data that a command gives beside a finished run's own, to look at its model on."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from headstart.data.datasets.image_datamodule import ImageDataModule
from headstart.data.datasets.whole_dataset import ALL, Whole
from headstart.runs.folder.run_naming import job_overrides, safe
from headstart.system.credential_masking import without_credentials
from headstart.types import UserError

NAMING = ("table", "root", "path", "urls", "name", "characters")  # settings that say which data these are
LONGEST = 60  # letters of data in a file's name


class EvaluatedData(NamedTuple):
    """Images to look at: data, not set up, the split of them that holds these images, and what that is called."""

    data: Any
    split: str
    called: str


def other_data(
    node: DictConfig, *, make: Callable[[DictConfig], Any], split: str | None, setting: str
) -> EvaluatedData:
    """All images of other data than a run's own, or those of one of the splits that the data come with.

    make: the data of a node. split: None for all. setting: what it is called on the command line. Raises UserError
    where these data cannot be looked at as a whole, or do not come with such a split.
    """
    data = make(node)
    if not isinstance(data, ImageDataModule):
        if split is None:
            raise UserError(
                f"all images are looked at of a headstart.data.datasets.image_datamodule.ImageDataModule, "
                f"got {type(data).__name__}; say which "
                f"split of it is meant: {setting}=test"
            )
        return EvaluatedData(data, split, split)
    if split is None:
        return EvaluatedData(Whole(data), ALL, "all")
    if split not in data.given_splits:
        raise UserError(
            f"{setting} must be a split that the data come with, one of {', '.join(data.given_splits)}, got {split}, "
            f"which would be drawn from them; {setting}=null takes all images"
        )
    return EvaluatedData(Whole(data, splits=(split,)), ALL, split)


def data_stem(node: DictConfig, called: str, images: int) -> str:
    """What a file about other data is called: which data, how many images of it, and a hash of its settings.

    Of a path it is the last part, so that no folder of this machine stands in the name.

    Args:
        node: The settings of the data.
        called: The split that is looked at, `all` of all images.
        images: How many there are.
    """
    plain = OmegaConf.to_container(node, resolve=False)
    assert isinstance(plain, dict)
    kind = str(plain.get("_target_")).rpartition(".")[2]
    stem = without_credentials(next((str(plain[key]) for key in NAMING if plain.get(key)), kind))
    name = safe(stem.rstrip("/").rpartition("/")[2].strip(".~") or kind)[-LONGEST:]
    digest = sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:8]
    return f"{name}{'' if called == 'all' else f'-{called}'}-{images}-images-{digest}"


def check_no_target(task: str) -> None:
    """Raise UserError where a command about a finished run names a target, which it would not read."""
    overrides = job_overrides() if HydraConfig.initialized() else []
    for override in map(str, overrides):
        if override.lstrip("+~").startswith(("data@target=", "target.")):
            raise UserError(
                f"task={task} looks at the run's own target, so that {override} would not be read; other data are "
                f"given by data@{task}.data=image_folder {task}.data.root=..."
            )

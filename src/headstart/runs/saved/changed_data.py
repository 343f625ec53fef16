"""Changes of a finished run's data: other files than it has learned from, or other pixels of the same files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig

from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.data.data_protocols import StoredFiles, StoredSizes
from headstart.runs.model_parts.assembly import assembled, images_seed
from headstart.runs.model_parts.backbone_template import template
from headstart.runs.outcome.data_digest import data_digest
from headstart.runs.outcome.data_files import data_files
from headstart.types import UserError

DATA_FILES = "data_files"  # in result.json; results on data without files of their own, and older ones, have none
WITH_BOX = "box"  # a setting that came with another decoding of small images, so that older configs have it not


def data_changes(cfg: DictConfig, ran: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """How the images that a finished run would learn from now differ from those that it has learned from, in words.

    Names, sizes and times of files tell it; where times alone differ, the images are read and compared. Empty where
    nothing differs, or where nothing is known.

    Args:
        cfg: The config of the run as it is asked for.
        ran: The config that it ran with, plain.
        result: Content of its result.json.
    """
    try:
        if isinstance(known := result.get(DATA_FILES), dict):
            return _of_files(cfg, known, result)
        return _of_pixels(cfg, ran)
    except UserError as error:
        return f"they cannot be read now: {error}"


def files_of_run(data: object) -> dict[str, Any] | None:
    """What a result keeps of the files of a run's data; None where its images lie in no files of their own."""
    return data_files(data.stored_files()) if isinstance(data, StoredFiles) else None


def _of_files(cfg: DictConfig, known: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    nodes = [cfg.target, *([cfg.source] if cfg.get("adaptation") and cfg.get("source") else [])]
    paths = [
        path for node in nodes if isinstance(data := _made(cfg, node), StoredFiles) for path in data.stored_files()
    ]
    now = data_files(paths)
    if now is None:
        return "there are no files"
    if now["names"] != known.get("names"):
        if now["files"] != known.get("files"):
            return f"{known.get('files')} files then, {now['files']} now"
        return f"{now['files']} files then and now, with other names or sizes"
    if now["times"] == known.get("times") or not isinstance(before := result.get("data"), dict):
        return ""
    with torch.random.fork_rng(devices=[]):
        images = assembled(cfg).data
    images.setup("fit")
    digests = data_digest(images, [split for split in before if split != "paired"])
    differing = [name for name in before if before[name] != digests.get(name)]
    told = f"files of the same names and sizes hold other images or labels ({', '.join(differing)})"
    return told if differing else ""


def _of_pixels(cfg: DictConfig, ran: Mapping[str, Any]) -> str:
    """Of a run of an earlier version, which cut of small images what is kept now, and enlarged the rest more."""
    ran_with, node = ran.get("target") or {}, cfg.target
    is_earlier = "resize" in ran_with and WITH_BOX not in ran_with
    if not is_earlier or node.get("resize") is not None or node.get(WITH_BOX) is not None:
        return ""
    data: Any = _made(cfg, node)
    decoder: Any = getattr(data, "decoder", None)
    if not getattr(decoder, "keeps_small", False):
        return ""
    splits: list[Any] = [split for split in data.splits.values() if isinstance(split, StoredSizes)]
    sizes = [split.extents(np.arange(len(split.label))) for split in splits if len(split.label)]
    small = sum(int((each.min(axis=1) <= decoder.size).sum()) for each in sizes)
    told = f"an earlier version cut the edges off images no larger than the backbone's {decoder.size} pixels"
    return f"{told}, of which there are {small}" if small else ""


def _made(cfg: DictConfig, node: DictConfig) -> object:
    return instantiate(node, pixels=template(cfg.backbone).pixels, seed=images_seed(cfg))

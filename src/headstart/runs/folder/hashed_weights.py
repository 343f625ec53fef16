"""Weights of a file in a run's hash: what is in the file, and the preprocessing that it decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from headstart.backbones.weights.preprocessing.file_preprocessing import counted_preprocessing
from headstart.backbones.weights.weights_address import address_of
from headstart.backbones.weights.weights_folder import file_in
from headstart.system.files.file_identity import sha256 as sha256_of
from headstart.types import UserError


def preprocessing_of_weights(cfg: DictConfig) -> Any:
    """The backbone's preprocessing that weights=file decides, of a control too; None where that is the default one.

    Args:
        cfg: The config of a job.
    """
    try:
        weights, backbone = (OmegaConf.to_container(cfg[key], resolve=True) for key in ("weights", "backbone"))
    except (OmegaConfBaseException, ValueError, KeyError):  # no such node, or none that can be resolved yet
        return None
    if not isinstance(weights, dict) or not isinstance(backbone, dict):
        return None
    plain = ({str(key): value for key, value in node.items()} for node in (weights, backbone))
    return counted_preprocessing(*plain)


def by_content(weights: dict[str, Any]) -> dict[str, Any]:
    """The settings of weights=file with the file's SHA-256 for its path: what a run depends on, wherever it lies.

    That of a file at a URL is known where the settings say it; else the URL counts, or the path where there is no file.

    Args:
        weights: The node of weights=file.
    """
    sha256 = weights.get("sha256")
    settings = {key: value for key, value in weights.items() if key != "sha256"}
    return settings | {"path": sha256.lower() if isinstance(sha256, str) else _content(weights["path"])}


def _content(path: str) -> str:
    try:
        file = address_of(path)
        if isinstance(file, Path) and file.is_dir():
            file = file_in(file)
    except UserError:  # it will be told where the file is wanted
        return path
    return sha256_of(file) if isinstance(file, Path) and file.is_file() else path

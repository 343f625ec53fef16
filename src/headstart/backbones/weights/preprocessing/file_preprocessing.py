"""Preprocessing that a file of weights was made with, and by what that is known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from headstart.backbones.weights.preprocessing.json_preprocessing import config_beside
from headstart.backbones.weights.preprocessing.preprocessing_values import (
    SQUASHED,
    is_same,
    preprocessing_values,
)  # fmt: skip
from headstart.backbones.weights.weights_address import OnHub, Url, address_of
from headstart.backbones.weights.weights_folder import file_in
from headstart.system.files.file_identity import sha256 as sha256_of
from headstart.types import Pixels, UserError

LIBRARIES = ("torchvision", "timm")  # backbones whose pixels are those of weights


class KnownPreprocessing(NamedTuple):
    """The values of a preprocessing, and by what they are known."""

    values: Mapping[str, Any]
    why: str


def library_of(backbone: Mapping[str, Any]) -> str | None:
    """The library that a backbone's node takes its model and pixels from; None of networks that say their own.

    Args:
        backbone: The node of a config, as plain values.
    """
    function = str(backbone.get("_target_", ""))
    return next((name for name in LIBRARIES if function.endswith(f".{name}_models.{name}")), None)


def pixels_of(backbone: Mapping[str, Any], preprocessing: Any) -> Pixels:
    """The pixels of a backbone of a library with this preprocessing, without making the model.

    Args:
        backbone: Its node, as plain values.
        preprocessing: As backbone.preprocessing has it.

    Raises:
        UserError: There is no such model or preprocessing, or the library is not installed.
    """
    settings = {
        "size": backbone.get("size"),
        "channels": backbone.get("channels", 3),
        "preprocessing": preprocessing,
    }
    if library_of(backbone) == "timm":
        from headstart.backbones.weights.preprocessing.timm_preprocessing import timm_pixels

        return timm_pixels(str(backbone["name"]), **settings)
    from headstart.backbones.weights.preprocessing.torchvision_preprocessing import torchvision_pixels

    try:
        return torchvision_pixels(str(backbone["name"]), **settings)
    except ValueError as error:  # torchvision's, of a model that there is none of
        raise UserError(f"backbone.name: {error}") from error


def known_of(name: str, *, file: Path | None, sha256: str | None) -> KnownPreprocessing | None:
    """The preprocessing of weights; None where nothing says it.

    Torchvision's files are known by their hash, those of a run by its config, others by the JSON file beside them.

    Args:
        name: Of the file.
        file: Here; None where it is not here yet.
        sha256: Of the file, where it is known.
    """
    from headstart.backbones.weights.preprocessing.torchvision_preprocessing import weights_values
    from headstart.backbones.weights.torchvision_recognition import recognised_file  # which needs torch

    if recognised := recognised_file(name, sha256):
        weights, why = recognised
        return KnownPreprocessing(
            weights_values(weights), f"of torchvision's {type(weights).__name__}.{weights.name}, known {why}"
        )
    if file is None:
        return None
    if of_run := _of_run(file.parent.parent):
        return KnownPreprocessing(of_run, f"of the run {file.parent.parent.name}, whose checkpoint it is")
    if beside := config_beside(file):
        but_for = f", {SQUASHED}" if beside.squashes else ""
        return KnownPreprocessing(beside.values, f"of {beside.file.name} beside it{but_for}")
    return None


def known_before(path: str, sha256: str | None) -> KnownPreprocessing | None:
    """The preprocessing of weights as far as it is known before anything is downloaded; None where it is not.

    Args:
        path: Of the file, or its address.
        sha256: That the settings say.

    Raises:
        UserError: The path is no address that there is.
    """
    place = address_of(path)
    if isinstance(place, Url):
        return known_of(place.name, file=None, sha256=sha256)
    if not isinstance(place, Path):
        return None
    file = file_in(place) if place.is_dir() else place
    is_here = file.is_file()
    return known_of(file.name, file=file if is_here else None, sha256=sha256_of(file) if is_here else sha256)


def counted_preprocessing(weights: Mapping[str, Any], backbone: Mapping[str, Any]) -> Any:
    """What stands for backbone.preprocessing in a run's hash where weights=file decides it: None where nothing does.

    Of weights on the hub only a download tells, so that these count as such.

    Args:
        weights: The node of weights=file, as plain values.
        backbone: The node of the backbone.
    """
    path, preprocessing = weights.get("path"), backbone.get("preprocessing")
    if not isinstance(path, str) or preprocessing is not None or library_of(backbone) is None:
        return None
    try:
        if isinstance(address_of(path), OnHub):
            return "beside the file"
        known = known_before(path, weights.get("sha256"))
        return None if known is None else in_place_of_default(backbone, known)
    except (UserError, KeyError, OSError):  # it will be told where the file or the model is wanted
        return None


def in_place_of_default(backbone: Mapping[str, Any], known: KnownPreprocessing) -> dict[str, Any] | None:
    """The values of backbone.preprocessing for weights that are known, None where the default says the same.

    Args:
        backbone: Its node, as plain values, of a library.
        known: Of the weights.

    Raises:
        UserError: As pixels_of.
    """
    values = dict(known.values)
    return None if is_same(pixels_of(backbone, None), pixels_of(backbone, values)) else values


def _of_run(folder: Path) -> dict[str, Any]:
    """The values by which a run's backbone made images, of its own size; empty where the folder is no run's."""
    try:
        config = yaml.safe_load((folder / ".hydra" / "config.yaml").read_bytes())
        node = config["backbone"] | {"size": None}
        if library_of(node) is None:
            return {}
        return preprocessing_values(pixels_of(node, node.get("preprocessing")))
    except (OSError, yaml.YAMLError, KeyError, TypeError, UserError):
        return {}

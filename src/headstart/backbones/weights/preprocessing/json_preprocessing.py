"""Preprocessing in the JSON file beside a file of weights, as timm and Hugging Face write it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

FILES = ("preprocessor_config.json", "config.json", "processor_config.json")  # the first that says it
RESAMPLE = {2: "bilinear", 3: "bicubic"}  # the numbers of PIL's filters
PLAIN = (0.5, 0.5, 0.5)
SHORTER_SIDE = "shortest_edge"  # becomes so many pixels, so that an image keeps its shape


class ConfigBeside(NamedTuple):
    """The values of a preprocessing that a file says, the file, and whether it squashes images to a square."""

    values: Mapping[str, Any]
    file: Path
    squashes: bool


def config_beside(weights: Path) -> ConfigBeside | None:
    """What the JSON files in a weight file's folder say of its preprocessing; None of none.

    In the hub's cache the folder of the repository counts too.

    Args:
        weights: The file of weights.
    """
    above = [folder for folder in weights.parents if folder.parent.name == "snapshots"]
    for folder in dict.fromkeys((weights.parent, *above)):
        for name in FILES:
            content = _content(folder / name)
            if values := values_of(content):
                return ConfigBeside(values, folder / name, squashes(content))
    return None


def values_of(content: Any) -> dict[str, Any]:
    """The preprocessing that a configuration says; empty where it says none.

    timm's has `pretrained_cfg` (of older files its keys themselves): input_size, crop_pct, interpolation, mean, std. An
    image processor of Hugging Face's has size, crop_size, resample, image_mean, image_std.

    Args:
        content: Of the JSON file.
    """
    nested = _nested(content)
    try:
        if "input_size" in nested and "mean" in nested:
            return _of_timm(nested)
        if "image_mean" in nested or "image_std" in nested:
            return _of_image_processor(nested)
    except (TypeError, ValueError, IndexError, KeyError, ZeroDivisionError):
        return {}  # of something else
    return {}


def squashes(content: Any) -> bool:
    """Whether a configuration makes an image square by squashing it, not by cutting out its centre.

    Args:
        content: Of the JSON file.
    """
    config = _nested(content)
    if "crop_mode" in config:
        return bool(config["crop_mode"] == "squash")
    size = config.get("size")
    keeps_shape = isinstance(size, Mapping) and SHORTER_SIDE in size
    return bool(size and config.get("do_resize", True) and not keeps_shape and not _crops(config))


def _nested(content: Any) -> Mapping[str, Any]:
    """The part of a configuration that says a preprocessing; empty where there is none."""
    if not isinstance(content, Mapping):
        return {}
    nested = content.get("pretrained_cfg", content.get("image_processor", content))
    return nested if isinstance(nested, Mapping) else {}


def _crops(config: Mapping[str, Any]) -> bool:
    """Whether an image processor of Hugging Face's cuts out the centre."""
    return bool(config.get("do_center_crop", bool(config.get("crop_size"))) and config.get("crop_size"))


def _of_timm(config: Mapping[str, Any]) -> dict[str, Any]:
    size = int(config["input_size"][-1])
    return {
        "size": size,
        "resize": max(size, int(size / (config.get("crop_pct") or 0.875))),  # timm's own default
        "interpolation": "bilinear" if config.get("interpolation") == "bilinear" else "bicubic",
        "mean": [float(value) for value in config["mean"]],
        "std": [float(value) for value in config["std"]],
    }


def _of_image_processor(config: Mapping[str, Any]) -> dict[str, Any]:
    resize = _side(config["size"]) if config.get("do_resize", True) and config.get("size") else None
    size = _side(config["crop_size"]) if _crops(config) else resize
    values: dict[str, Any] = {"interpolation": RESAMPLE.get(config.get("resample", 2), "bicubic")}
    if size is not None:
        values |= {"size": size, "resize": max(size, resize or size)}
    if config.get("do_normalize", True):
        mean, std = config.get("image_mean") or PLAIN, config.get("image_std") or PLAIN
        values |= {"mean": [float(value) for value in mean], "std": [float(value) for value in std]}
    return values


def _side(size: Any) -> int:
    """The pixels of {"height": 224, "width": 224}, {"shortest_edge": 256} or 224."""
    if isinstance(size, Mapping):
        return int(size[SHORTER_SIDE] if SHORTER_SIDE in size else size["height"])
    return int(size)


def _content(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None

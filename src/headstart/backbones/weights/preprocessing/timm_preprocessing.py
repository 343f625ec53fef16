"""Pixels that timm's pretrained weights expect, by their metadata."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, Literal

from headstart.backbones.weights.preprocessing.preprocessing_values import Preprocessing, preprocessed
from headstart.types import Pixels, UserError


def library() -> Any:
    """The package timm. Raises UserError where it is not installed."""
    try:
        import timm as package
    except ImportError as error:
        raise UserError(
            f"backbone=timm needs the package timm, and it cannot be imported ({error}); "
            "try: pip install 'headstart[timm]'"
        ) from error
    return package


def timm_config(name: str) -> Any:
    """What timm knows of a model's weights (`pretrained_cfg`). Raises UserError where there is no such model or tag."""
    package = library()
    architecture, _, tag = name.partition(".")
    names = package.list_models()
    if architecture not in names:
        near = get_close_matches(architecture, names, n=3, cutoff=0.4) or names[:3]
        raise UserError(
            f"backbone.name must be an image model of timm, got {name!r}; the closest are {', '.join(near)}; "
            "timm.list_models() lists them all"
        )
    tags = package.models.get_arch_pretrained_cfgs(architecture)
    if tag and f"{architecture}.{tag}" not in tags:
        raise UserError(f"timm's {architecture} has no weights {tag!r}; {_offered(tag, list(tags))}")
    return package.get_pretrained_cfg(name) or package.models.PretrainedCfg()


def tags_of(name: str) -> list[str]:
    """The tags of the weights that timm has for a model.

    Args:
        name: Of the model, with or without a tag.
    """
    names = library().models.get_arch_pretrained_cfgs(name.partition(".")[0])
    return [tag for tagged_name in names if (tag := tagged_name.partition(".")[2])]


def _offered(tag: str, names: Sequence[str]) -> str:
    tags = [name.partition(".")[2] for name in names]
    near = get_close_matches(tag, tags, n=1)
    return f"there are {', '.join(filter(None, tags)) or 'none'}{f'; did you mean {near[0]}?' if near else ''}"


def timm_pixels(name: str, *, size: int | None, channels: int, preprocessing: Preprocessing = None) -> Pixels:
    """The pixels that a model's weights were evaluated on, by timm's metadata.

    Of grey images mean and deviation are the averages of those of the colours, as their first filters are
    summed; with other than 1 or 3 channels values lie in [-1, 1].

    Args:
        name: Of the model, a tag of its weights behind it.
        size: Of the image; None is that of the metadata. The shorter side before the centre is cut out keeps its ratio
            to the size.
        channels: Of the image.
        preprocessing: The tag of the weights, or values in place of those of the name's own, which None means.

    Raises:
        UserError: There are no such weights or values.
    """
    if isinstance(preprocessing, str):
        name, preprocessing = f"{name.partition('.')[0]}.{preprocessing}", None
    pixels, made_for = _of_metadata(timm_config(name), channels)
    if preprocessing is not None:
        return preprocessed(pixels, preprocessing, size=size)
    if size is None:
        return pixels
    return pixels._replace(size=size, resize=max(size, round(size * made_for[1] / made_for[0])))


def _of_metadata(config: Any, channels: int) -> tuple[Pixels, tuple[int, int]]:
    """The pixels of weights, and (size, resize) as the metadata say these."""
    cfg = library().data.resolve_data_config(pretrained_cfg=config.to_dict())
    size = cfg["input_size"][-1]
    mean, std = tuple(map(float, cfg["mean"])), tuple(map(float, cfg["std"]))
    if channels == 1:
        mean, std = (sum(mean) / len(mean),), (sum(std) / len(std),)
    elif channels != len(mean):
        mean, std = (0.5,) * channels, (0.5,) * channels
    interpolation: Literal["bilinear", "bicubic"] = "bilinear" if cfg["interpolation"] == "bilinear" else "bicubic"
    resize = int(size / cfg["crop_pct"])
    pixels = Pixels(size, channels, mean, std, resize=max(size, resize), interpolation=interpolation)
    return pixels, (size, resize)

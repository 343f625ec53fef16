"""Preprocessing of images as a table of values: size, resize, interpolation, mean, standard deviation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headstart.types import LARGER, Pixels, UserError

# text: the name of a library's weights; a table: its values in place of those of the model's default weights
Preprocessing = Mapping[str, Any] | str | None
KEYS = ("size", "resize", "interpolation", "mean", "std")
INTERPOLATIONS = ("bilinear", "bicubic")
# of weights that were evaluated on whole images, squashed to a square, which no value here says
SQUASHED = "but for the shape: there images were squashed to a square, here they keep it, and the centre is cut out"


def preprocessing_values(pixels: Pixels) -> dict[str, Any]:
    """The table of values that says a backbone's pixels."""
    return {
        "size": pixels.size,
        "resize": resize_of(pixels),
        "interpolation": pixels.interpolation,
        "mean": list(pixels.mean),
        "std": list(pixels.std),
    }


def preprocessed(default: Pixels, values: Mapping[str, Any], *, size: int | None) -> Pixels:
    """The pixels that a table of values says, with what it does not say as in `default`.

    The shorter side before the centre is cut out keeps its ratio to the size. Of grey images mean and standard
    deviation are the averages of those of the colours.

    Args:
        default: Of the model's default weights, for images of their size.
        values: Any of the KEYS.
        size: Pixels of an image's side; None means that of the values.

    Raises:
        UserError: A key or a value is none that there is.
    """
    _check(values, default.channels)
    made_for = int(values.get("size") or default.size)
    larger = resize_of(default) / default.size
    resize = int(values.get("resize") or round(made_for * larger))
    crop = made_for if size is None else size
    return default._replace(
        size=crop,
        resize=max(crop, round(crop * resize / made_for)),
        interpolation=values.get("interpolation") or default.interpolation,
        mean=_each_channel(values.get("mean") or default.mean, default.channels),
        std=_each_channel(values.get("std") or default.std, default.channels),
    )


def shown(pixels: Pixels) -> str:
    """The values as one phrase: `size 224 from resize 256, bilinear, mean 0.485/0.456/0.406, std 0.229/0.224/0.225`."""
    mean, std = ("/".join(f"{value:.3f}" for value in values) for values in (pixels.mean, pixels.std))
    return f"size {pixels.size} from resize {resize_of(pixels)}, {pixels.interpolation}, mean {mean}, std {std}"


def resize_of(pixels: Pixels) -> int:
    """Pixels of the shorter side before the centre is cut out."""
    return pixels.resize or round(pixels.size * LARGER)


def is_same(pixels: Pixels, other: Pixels) -> bool:
    """Whether two pixels are equal, but for what a float loses in a file."""
    values = zip((*pixels.mean, *pixels.std), (*other.mean, *other.std), strict=True)
    return pixels._replace(mean=(), std=()) == other._replace(mean=(), std=()) and all(
        abs(value - other_value) < 1e-4 for value, other_value in values
    )


def _each_channel(values: Sequence[float], channels: int) -> tuple[float, ...]:
    if channels == 1 and len(values) > 1:
        return (sum(values) / len(values),)
    return tuple(map(float, values)) if len(values) == channels else (float(values[0]),) * channels


def _check(values: Mapping[str, Any], channels: int) -> None:
    if unknown := [str(key) for key in values if key not in KEYS]:
        raise UserError(f"backbone.preprocessing has the keys {', '.join(KEYS)}, got {', '.join(unknown)}")
    for key in ("size", "resize"):
        value = values.get(key)
        if value is not None and not (isinstance(value, int) and 1 <= value <= 4096):
            raise UserError(f"backbone.preprocessing.{key} must be 1 to 4096 pixels, got {value}")
    if values.get("interpolation") not in (None, *INTERPOLATIONS):
        raise UserError(
            f"backbone.preprocessing.interpolation must be {' or '.join(INTERPOLATIONS)}, got {values['interpolation']}"
        )
    for key in ("mean", "std"):
        numbers = values.get(key)
        if numbers is None:
            continue
        listed = isinstance(numbers, Sequence) and not isinstance(numbers, str)
        if not listed or len(numbers) not in (1, 3, channels) or not all(isinstance(n, int | float) for n in numbers):
            raise UserError(f"backbone.preprocessing.{key} must be a list of one number a channel, got {numbers}")
        if key == "std" and min(numbers) <= 0:
            raise UserError(f"backbone.preprocessing.std must be above 0, got {list(numbers)}")

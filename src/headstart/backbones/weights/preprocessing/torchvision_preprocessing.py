"""Image size, mean and deviation that torchvision's pretrained weights expect."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from torchvision import models

from headstart.backbones.weights.preprocessing.preprocessing_values import Preprocessing, preprocessed
from headstart.types import Pixels, UserError

# their weights were made for values in [-1, 1]; torchvision's own models turn ImageNet's mean and std into these
IN_MINUS_ONE_TO_ONE = ("googlenet", "inception_v3")


def torchvision_pixels(name: str, *, size: int | None, channels: int, preprocessing: Preprocessing = None) -> Pixels:
    """The pixels of a model's weights, by their metadata.

    Of grey images mean and deviation are the averages of those of the colours, so that
    weights summed over colours see about what they would on three equal channels; with other than 1 or 3 channels
    values lie in [-1, 1].

    Args:
        name: Of the model.
        size: Of the image; None is what the weights were evaluated on. The shorter side before the centre is cut out
            keeps its ratio to the size.
        channels: Of the image.
        preprocessing: The name of the weights, or values in place of those of the default ones, which None means.

    Raises:
        UserError: There are no such weights or values.
    """
    chosen = preprocessing if isinstance(preprocessing, str) else None
    made_for = torchvision_weights(name, chosen, key="backbone.preprocessing").transforms()
    crop, resize = made_for.crop_size[0], made_for.resize_size[0]
    own_size = size if preprocessing is None or isinstance(preprocessing, str) else None
    crop, resize = (crop, resize) if own_size is None else (own_size, round(own_size * resize / crop))
    mean, std = tuple(made_for.mean), tuple(made_for.std)
    if name in IN_MINUS_ONE_TO_ONE or channels not in (1, 3):
        mean, std = (0.5,) * channels, (0.5,) * channels
    elif channels == 1:
        mean, std = (sum(mean) / 3,), (sum(std) / 3,)
    pixels = Pixels(crop, channels, mean, std, resize=resize, interpolation=made_for.interpolation.value)
    if preprocessing is None or isinstance(preprocessing, str):
        return pixels
    return preprocessed(pixels, preprocessing, size=size)


def torchvision_weights(model: str, name: str | None, *, key: str = "weights.name") -> Any:
    """The weights of a model with this name, None for torchvision's default.

    Args:
        model: Of torchvision.
        name: Of its weights, as IMAGENET1K_V1.
        key: The setting that has the name.

    Raises:
        UserError: There are none of this name.
    """
    all_weights = models.get_model_weights(model)
    if name is None:
        return all_weights.DEFAULT
    names = [weights.name for weights in all_weights]
    if name not in names:
        near = get_close_matches(name.upper(), names, n=1)
        raise UserError(
            f"{key} of {model} must be {' or '.join(names)}, or null for the best of them, got {name}"
            f"{f'; did you mean {near[0]}?' if near else ''}"
        )
    return all_weights[name]


def weights_values(weights: Any) -> dict[str, Any]:
    """The values of the preprocessing that weights of torchvision were evaluated with.

    Args:
        weights: A member of a torchvision.models.WeightsEnum.
    """
    made_for = weights.transforms()
    in_minus_one_to_one = any(type(weights) is models.get_model_weights(name) for name in IN_MINUS_ONE_TO_ONE)
    return {
        "size": made_for.crop_size[0],
        "resize": made_for.resize_size[0],
        "interpolation": made_for.interpolation.value,
        "mean": [0.5] * 3 if in_minus_one_to_one else list(made_for.mean),
        "std": [0.5] * 3 if in_minus_one_to_one else list(made_for.std),
    }

"""Image size, mean and deviation that torchvision's pretrained weights expect."""

from __future__ import annotations

from torchvision import models

from headstart.types import Pixels

# their weights were made for values in [-1, 1]; torchvision's own models turn ImageNet's mean and std into these
IN_MINUS_ONE_TO_ONE = ("googlenet", "inception_v3")


def torchvision_pixels(name: str, *, size: int | None, channels: int) -> Pixels:
    """The pixels of a model's default weights, by their metadata.

    size: of the image; None is what the weights were evaluated on. The shorter side before the centre is cut out
    keeps its ratio to the size. Of grey images mean and deviation are the averages of those of the colours, so that
    weights summed over colours see about what they would on three equal channels; with other than 1 or 3 channels
    values lie in [-1, 1].
    """
    made_for = models.get_model_weights(name).DEFAULT.transforms()
    crop, resize = made_for.crop_size[0], made_for.resize_size[0]
    size = crop if size is None else size
    mean, std = tuple(made_for.mean), tuple(made_for.std)
    if name in IN_MINUS_ONE_TO_ONE or channels not in (1, 3):
        mean, std = (0.5,) * channels, (0.5,) * channels
    elif channels == 1:
        mean, std = (sum(mean) / 3,), (sum(std) / 3,)
    return Pixels(
        size=size,
        channels=channels,
        mean=mean,
        std=std,
        resize=round(size * resize / crop),
        interpolation=made_for.interpolation.value,
    )

"""A small convolutional network that learns 32-pixel characters in seconds on a CPU."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Interval
from torch import nn

from headstart.backbones.bottleneck import BottleneckNorm, with_bottleneck
from headstart.backbones.stages import Backbone
from headstart.types import Pixels


def small_cnn(
    *,
    width: Annotated[int, Ge(1)],
    size: Annotated[int, Ge(8)],
    channels: Annotated[int, Ge(1)],
    keep: Annotated[int, Ge(1)] | None,
    bottleneck: Annotated[int, Ge(1)] | None = None,
    bottleneck_norm: BottleneckNorm = "batch",
    depth: Annotated[int, Interval(ge=1, le=4)] = 4,
) -> Backbone:
    """Stages of 3x3 convolution, BatchNorm, ReLU and halving, each twice as wide as the one before.

    The last of them does not halve. The features of four stages are 8 times as wide as the first stage.

    Args:
        width: Channels of the first stage.
        size: Pixels of an image's side.
        channels: Of an image.
        keep: The first stages that are used; None means all.
        bottleneck: Features of a linear layer behind them, the last stage; None means none.
        bottleneck_norm: What comes behind that layer.
        depth: How many stages of convolution there are.
    """
    widths = [channels, *(width * 2**number for number in range(depth))]
    stages = {f"stage{n}": _stage(widths[n - 1], widths[n], halve=n < depth) for n in range(1, depth + 1)}
    pixels = Pixels(size, channels, mean=(0.5,) * channels, std=(0.5,) * channels)
    return with_bottleneck(Backbone(stages, pixels=pixels, keep=keep), bottleneck, bottleneck_norm)


def _stage(before: int, after: int, *, halve: bool) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(before, after, kernel_size=3, padding=1, bias=False),  # BatchNorm has the bias
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    ]
    return nn.Sequential(*layers, nn.MaxPool2d(2)) if halve else nn.Sequential(*layers)

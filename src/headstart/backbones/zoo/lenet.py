"""LeNet, the small network of papers on adaptation between sets of digits."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Interval
from torch import nn

from headstart.backbones.bottleneck import BottleneckNorm, with_bottleneck
from headstart.backbones.stages import Backbone
from headstart.types import Pixels

SIZE = 28  # pixels of MNIST


def lenet(
    *,
    channels: Annotated[int, Ge(1)],
    dropout: Annotated[float, Interval(ge=0, lt=1)],
    keep: Annotated[int, Ge(1)] | None,
    bottleneck: Annotated[int, Ge(1)] | None = None,
    bottleneck_norm: BottleneckNorm = "batch",
) -> Backbone:
    """Two stages of 5x5 convolution, halving, ReLU with 20 and 50 channels, one of 500 units; images of 28 pixels.

    The Caffe variant of LeNet (LeCun et al. 1998), as Long et al. 2018, Conditional Adversarial Domain Adaptation
    (arXiv:1705.10667), and others take it between MNIST and USPS.

    Args:
        channels: Of an image.
        dropout: The share of conv2's maps, and of the units, that a training step leaves out.
        keep: The first stages that are used; None means all.
        bottleneck: Features of a linear layer behind them, the last stage; None means none.
        bottleneck_norm: What comes behind that layer.
    """
    stages = {
        "conv1": nn.Sequential(nn.Conv2d(channels, 20, 5), nn.MaxPool2d(2), nn.ReLU()),
        "conv2": nn.Sequential(nn.Conv2d(20, 50, 5), nn.Dropout2d(dropout), nn.MaxPool2d(2), nn.ReLU()),
        "full": nn.Sequential(nn.Flatten(), nn.Linear(50 * 4 * 4, 500), nn.ReLU(), nn.Dropout(dropout)),
    }
    pixels = Pixels(SIZE, channels, mean=(0.5,) * channels, std=(0.5,) * channels)
    return with_bottleneck(Backbone(stages, pixels=pixels, keep=keep), bottleneck, bottleneck_norm)

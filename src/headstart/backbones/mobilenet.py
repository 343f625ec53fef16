"""How does torchvision's MobileNetV2 fall into stages?"""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated

from annotated_types import Ge
from torch import nn
from torchvision import models

from headstart.backbones.resnet import IMAGENET_MEAN, IMAGENET_STD
from headstart.backbones.stages import Backbone
from headstart.types import Pixels

# which of the net's 19 features make a stage: those that give maps of the same resolution, 1/2 to 1/32 of the image
STAGES = {
    "stem": range(2),
    "stage1": range(2, 4),
    "stage2": range(4, 7),
    "stage3": range(7, 14),
    "stage4": range(14, 18),
    "last": range(18, 19),
}


def mobilenet_v2(
    *, size: Annotated[int, Ge(32)], channels: Annotated[int, Ge(1)], keep: Annotated[int, Ge(1)] | None
) -> Backbone:
    """MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381, table 2) in six stages; its features are 1280 wide.

    stem: the first convolution and the bottleneck of its resolution. stage1 to stage4: the bottlenecks by resolution,
    1/4 to 1/32. last: the 1x1 convolution. size: pixels. With other than 3 channels the first convolution is a
    fresh one of that many.
    """
    net = models.mobilenet_v2(weights=None)
    if channels != 3:
        net.features[0][0] = nn.Conv2d(channels, 32, kernel_size=3, stride=2, padding=1, bias=False)
        nn.init.kaiming_normal_(net.features[0][0].weight, mode="fan_out")  # as torchvision does
    stages = {
        name: nn.Sequential(OrderedDict((str(n), net.features[n]) for n in numbers)) for name, numbers in STAGES.items()
    }
    mean, std = (IMAGENET_MEAN, IMAGENET_STD) if channels == 3 else ((0.5,) * channels, (0.5,) * channels)
    pixels = Pixels(size, channels, mean, std)
    return Backbone(stages, pixels=pixels, keep=keep, net=net, zoo=("torchvision", "mobilenet_v2"))

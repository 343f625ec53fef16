"""How do torchvision's ResNets fall into stages?"""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated

from annotated_types import Ge
from torch import nn
from torchvision import models

from headstart.backbones.stages import Backbone
from headstart.types import Pixels

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def resnet18(
    *, size: Annotated[int, Ge(32)], channels: Annotated[int, Ge(1)], keep: Annotated[int, Ge(1)] | None
) -> Backbone:
    """ResNet-18 (He et al. 2016, arXiv:1512.03385) as stem, layer1, ..., layer4; its features are 512 wide.

    size: pixels. With other than 3 channels the first convolution is a fresh one of that many.
    """
    net = models.resnet18(weights=None)
    if channels != 3:
        net.conv1 = nn.Conv2d(channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
    stem = nn.Sequential(OrderedDict(conv1=net.conv1, bn1=net.bn1, relu=net.relu, maxpool=net.maxpool))
    stages = {"stem": stem} | {name: getattr(net, name) for name in ("layer1", "layer2", "layer3", "layer4")}
    mean, std = (IMAGENET_MEAN, IMAGENET_STD) if channels == 3 else ((0.5,) * channels, (0.5,) * channels)
    pixels = Pixels(size, channels, mean, std)
    return Backbone(stages, pixels=pixels, keep=keep, net=net, zoo=("torchvision", "resnet18"))

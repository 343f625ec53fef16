"""Small backbones of several kinds of layers, for what is injected into layers."""

import torch
from torch import nn

from headstart.backbones.stages import Backbone
from headstart.backbones.zoo.small_cnn import small_cnn
from headstart.backbones.zoo.torchvision_models import torchvision
from headstart.types import Pixels
from headstart.unfreeze.parameter_kinds import of_kind

PIXELS = Pixels(8, 2, (0.5, 0.5), (0.5, 0.5))


class Tokens(nn.Module):
    """(B, C, H, W) -> (B, HW, C), through attention."""

    def __init__(self, width):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)

    def forward(self, x):
        x = x.flatten(2).transpose(1, 2)
        return x + self.attention(x, x, x, need_weights=False)[0]


def mixed():
    """A convolution, one in groups, attention, a linear layer, and a norm."""
    torch.manual_seed(0)
    first = nn.Sequential(nn.Conv2d(2, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, groups=8))
    return Backbone(
        {"first": first, "second": Tokens(8), "third": nn.Sequential(nn.Linear(8, 6))}, pixels=PIXELS, keep=None
    )


def learned(backbone):
    """The backbone after its adapters have taken any values, B too."""
    torch.manual_seed(1)
    names = of_kind(backbone)["adapters"]
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            if name in names:
                parameter += 0.3 * torch.randn_like(parameter)
    return backbone.eval()


def images(backbone, count=3):
    pixels = backbone.pixels
    return torch.randn(count, pixels.channels, pixels.size, pixels.size, generator=torch.Generator().manual_seed(2))


BACKBONES = {
    "mixed": mixed,
    "small_cnn": lambda: small_cnn(width=4, size=16, channels=1, keep=None),
    "resnet18": lambda: torchvision(name="resnet18", size=32, channels=3, keep=None),
}

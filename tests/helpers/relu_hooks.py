"""A ResNet-18 whose ReLUs have backward hooks: another way to change what they let through."""

import copy
import types

import torch
from torch import nn

from explained import family


def resnet_with_statistics():
    """In which BatchNorm has statistics that are not those of a fresh one."""
    network = family("resnet18")
    chance = torch.Generator().manual_seed(3)
    for norm in network.backbone.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_(0, 0.2, generator=chance)
            norm.running_var.uniform_(0.5, 2, generator=chance)
    return network


def with_hooks(net, hook):
    """A copy of a ResNet's stages in which each ReLU is a module of its own, not in place, with a backward hook."""
    net = copy.deepcopy(net)

    def forward(self, x):
        seen = self.bn2(self.conv2(self.relu_a(self.bn1(self.conv1(x)))))
        return self.relu_b(seen + (x if self.downsample is None else self.downsample(x)))

    for block in [layer for layer in net.modules() if type(layer).__name__ == "BasicBlock"]:
        del block.relu
        block.relu_a, block.relu_b = nn.ReLU(), nn.ReLU()
        block.forward = types.MethodType(forward, block)
    for relu in [layer for layer in net.modules() if isinstance(layer, nn.ReLU)]:
        relu.inplace = False
        relu.register_full_backward_hook(hook)
    return net


def lets_positive(_, into, out):
    """A deconvnet's: into is the gradient (1[f > 0] R), out what came (R)."""
    return (out[0].clamp(min=0),)


def lets_positive_where_on(_, into, out):
    """Guided backpropagation's."""
    return (into[0].clamp(min=0),)

"""A network of one convolution, whose gradients one computes by hand."""

import torch
from torch import nn

from explained import of_stages


def one_convolution():
    """Features 2 r and r, r the mean over 2 x 2 places of relu(x): a filter of one pixel with weights 2 and 1."""
    conv = nn.Conv2d(1, 2, 1, bias=False)
    network = of_stages({"stage1": nn.Sequential(nn.ReLU(inplace=True), conv)}, size=2, channels=1, classes=2)
    with torch.no_grad():
        conv.weight[:, 0, 0, 0] = torch.tensor([2.0, 1.0])
        network.head.linear.weight.copy_(torch.tensor([[1.0, 4.0], [0.0, -8.0]]))
    return network

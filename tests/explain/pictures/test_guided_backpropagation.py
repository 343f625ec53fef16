"""Only a positive signal passes, and only through active units."""

import copy

import pytest
import torch
from torch import nn

from explained import of_stages, plain, untouched
from headstart.explain.picture_protocol import UnfitError
from headstart.explain.pictures.guided_backpropagation import guided_backpropagation
from relu_hooks import lets_positive_where_on, resnet_with_statistics, with_hooks


def image(network, count=1):
    pixels = network.backbone.pixels
    chance = torch.Generator().manual_seed(4)
    return torch.randn(count, pixels.channels, pixels.size, pixels.size, generator=chance)


def test_one_convolution_lets_through_what_one_computes_by_hand():
    """Two maps, x and -x, of one pixel; the head gives them 3 and 5 for class 0, -3 and -5 for class 1."""
    conv = nn.Conv2d(1, 2, 1, bias=False)
    network = of_stages({"stage1": nn.Sequential(conv, nn.ReLU())}, size=1, channels=1, classes=2)
    with torch.no_grad():
        conv.weight[:, 0, 0, 0] = torch.tensor([1.0, -1.0])
        network.head.linear.weight.copy_(torch.tensor([[3.0, 5.0], [-3.0, -5.0]]))
    x = torch.tensor([2.0, -2.0, 2.0]).reshape(3, 1, 1, 1)
    with network.at_rest():
        found = guided_backpropagation(network, x, index=torch.tensor([0, 0, 1]))
    assert found.flatten().tolist() == [3, -5, 0]


def test_captums_guided_backpropagation_of_the_plain_network_is_the_same():
    from captum.attr import GuidedBackprop

    network = plain()
    x = image(network, 3)
    model = nn.Sequential(copy.deepcopy(network.backbone), copy.deepcopy(network.head))
    reference = GuidedBackprop(model)
    with pytest.warns(UserWarning, match="Setting backward hooks on ReLU"):
        want = reference.attribute(x.clone().requires_grad_(), target=torch.tensor([0, 1, 2]))
    with network.at_rest(), untouched(network):
        found = guided_backpropagation(network, x, index=torch.tensor([0, 1, 2]))
    torch.testing.assert_close(found, want, atol=1e-7, rtol=1e-5)
    assert found.abs().max() > 0


def test_a_resnet_is_gone_back_through_as_by_hooks_on_relus_of_their_own():
    network = resnet_with_statistics()
    x = image(network)
    leaf = x.clone().requires_grad_()
    hooked = with_hooks(network.backbone, lets_positive_where_on).eval()
    (want,) = torch.autograd.grad(network.head(hooked(leaf))[:, 1].sum(), leaf)
    with network.at_rest(), untouched(network):
        found = guided_backpropagation(network, x, index=torch.tensor([1]))
    torch.testing.assert_close(found, want, atol=1e-5 * float(want.abs().max()), rtol=1e-5)
    assert found.abs().max() > 0


def test_without_relus_it_is_unfit():
    network = of_stages({"stage1": nn.Conv2d(3, 2, 3)}, size=8)
    with network.at_rest(), pytest.raises(UnfitError, match="this network has none; gradient, "):
        guided_backpropagation(network, image(network), index=torch.tensor([0]))

"""FLOPs of a training step equal a hand count by layer, for convolutions in groups too."""

import math

import pytest
import torch
from torch import nn
from torchvision.models import get_model

from headstart.unfreeze.step_cost import step_cost


def cost_of(module, size=16, channels=3, images=2):
    image = torch.rand(images, channels, size, size)
    return step_cost(module, lambda: module(image).float().sum())


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_a_convolution_costs_two_flops_a_weight_and_place_and_twice_as_many_backwards(groups):
    first, second = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, padding=1, groups=groups)
    cost = cost_of(nn.Sequential(first, second), size=10)
    of_first, of_second = (2 * 2 * 100 * weights for weights in (3 * 8, 8 * (8 // groups) * 9))
    assert cost.forward_flops == of_first + of_second
    assert cost.backward_flops == of_first + 2 * of_second  # the image needs no gradient


def test_a_transposed_convolution_counts_the_places_of_its_input():
    cost = cost_of(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ConvTranspose2d(4, 4, 2, stride=2, groups=2)), size=6)
    of_first, of_second = 2 * 2 * 36 * 12, 2 * 2 * 36 * (4 * 2 * 4)
    assert (cost.forward_flops, cost.backward_flops) == (of_first + of_second, of_first + 2 * of_second)


def test_a_frozen_layer_in_the_middle_costs_the_gradient_of_its_input_alone():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3, padding=1, groups=4))
    net[1].requires_grad_(False)
    of_first, of_second = 2 * 2 * 256 * 12, 2 * 2 * 256 * 4 * 9
    assert cost_of(net).backward_flops == of_first + of_second


@pytest.mark.parametrize("name", ["mobilenet_v2", "efficientnet_b0", "resnext50_32x4d", "convnext_tiny", "resnet18"])
def test_the_flops_of_a_family_are_those_of_its_layers(name):
    net = get_model(name, weights=None).eval()
    counted, first = [], []

    def count(layer, inputs, output):
        if isinstance(layer, nn.Conv2d):
            counted.append(2 * math.prod(output.shape) * math.prod(layer.weight.shape[1:]))
        else:
            counted.append(2 * math.prod(output.shape) * layer.in_features)
        first.append(layer)

    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    cost = cost_of(net, size=32)
    assert cost.forward_flops == sum(counted)
    assert cost.backward_flops == 2 * sum(counted) - counted[0]


@pytest.mark.parametrize(("tokens", "width", "heads"), [(17, 32, 4), (5, 24, 2)])
def test_attention_costs_two_products_of_all_pairs_of_tokens_and_twice_as_many_backwards(tokens, width, heads):
    """Products of queries and keys, and of weights and values; in the gradient, of each of the four once.

    torch's count of fused attention computes the products of queries and keys once more in the backward pass.
    """
    attention = nn.MultiheadAttention(width, heads, batch_first=True)
    x = torch.rand(2, tokens, width, requires_grad=True)
    cost = step_cost(attention, lambda: attention(x, x, x, need_weights=False)[0].sum())
    layers, product = 2 * 2 * tokens * 4 * width * width, 2 * 2 * tokens * tokens * width
    assert cost.forward_flops == layers + 2 * product
    assert cost.backward_flops == 2 * layers + 5 * product

"""What compat/pytorch/torch_fake_tensors.py relies on. Tried: torch 2.15.0."""

import torch
from torch import nn

from headstart.compat.pytorch.torch_fake_tensors import tensors_without_values


def test_real_weights_give_shapes_of_what_is_too_large_to_compute():
    layer = nn.Conv2d(3, 8, 3)
    with torch.no_grad(), tensors_without_values():
        given = layer(torch.empty(2, 3, 1_000_002, 1_000_002))
    assert given.shape == (2, 8, 1_000_000, 1_000_000)


def test_numbers_of_a_shape_are_plain_numbers():
    with tensors_without_values():
        assert torch.empty(2, 3).flatten().shape[0] == 6

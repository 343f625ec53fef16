"""What compat/pytorch/torch_autograd.py relies on. Tried: torch 2.15.0."""

import torch

from headstart.compat.pytorch.torch_autograd import python_function


class Double(torch.autograd.Function):
    @staticmethod
    def forward(_, x):
        return 2 * x

    @staticmethod
    def backward(_, signal):
        return 2 * signal


def test_a_node_knows_the_function_that_is_written_in_python():
    x = torch.ones(1, requires_grad=True)
    assert python_function(Double.apply(x).grad_fn) is Double
    assert python_function((2 * x).grad_fn) is None

"""The running statistics of a BatchNorm are the moments of all that enters it."""

import numpy as np
import pytest
import torch
from torch import nn

from headstart.backbones.batch_norm_statistics import take_statistics


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 3 + 2


@pytest.mark.parametrize("shape", [(5,), (5, 4, 3)])
def test_a_norms_statistics_are_those_of_all_batches_together(shape):
    norm = (nn.BatchNorm1d if len(shape) == 1 else nn.BatchNorm2d)(5).eval()
    images = drawn(23, *shape)
    take_statistics([norm], lambda: [norm(batch) for batch in images.split(9)])
    values = np.moveaxis(images.numpy(), 1, 0).reshape(5, -1)
    np.testing.assert_allclose(norm.running_mean, values.mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(norm.running_var, values.var(axis=1, ddof=1), rtol=1e-5)


def test_a_norm_behind_another_sees_what_that_one_makes_with_its_own_new_statistics():
    """And nothing is left of the statistics from before."""
    layers = nn.Sequential(nn.BatchNorm1d(4), nn.ReLU(), nn.BatchNorm1d(4)).eval()
    layers[0].running_mean.fill_(50)
    layers[2].running_var.fill_(70)
    x = drawn(30, 4)
    take_statistics([layers[0], layers[2]], lambda: layers(x))
    values = x.numpy()
    first = np.maximum((values - values.mean(axis=0)) / np.sqrt(values.var(axis=0) + 1e-5), 0)
    np.testing.assert_allclose(layers[2].running_mean, first.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(layers[2].running_var, first.var(axis=0, ddof=1), rtol=1e-4)

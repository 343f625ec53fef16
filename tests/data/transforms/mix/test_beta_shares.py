"""Shares are drawn from the Beta distribution."""

import numpy as np
import pytest
import torch

from headstart.data.loading.image_seed import ImageRng
from headstart.data.transforms.mix.beta_shares import beta


@pytest.mark.parametrize("alpha", [0.1, 0.2, 1.0, 4.0])
def test_its_moments_are_those_of_the_distribution(alpha):
    drawn = beta(ImageRng(seed=0, epoch=0, position=np.arange(40_000)).uniform(1), alpha)
    variance = 1 / (4 * (2 * alpha + 1))
    assert drawn.mean().item() == pytest.approx(0.5, abs=4 * (variance / 40_000) ** 0.5)
    assert drawn.var().item() == pytest.approx(variance, rel=0.03)
    fourth = (drawn - 0.5).pow(4).mean().item()
    assert fourth == pytest.approx(3 * variance**2 * (2 * alpha + 1) / (2 * alpha + 3), rel=0.05)


def test_one_is_uniform():
    uniform = torch.tensor([0.0, 0.25, 0.5, 0.9])
    torch.testing.assert_close(beta(uniform, 1.0), uniform.double())


def test_next_to_nothing_is_0_or_1():
    drawn = beta(torch.tensor([0.0, 0.2, 0.49, 0.51, 0.99]), 1e-6)
    torch.testing.assert_close(drawn, torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0], dtype=torch.float64))

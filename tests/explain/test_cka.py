"""Linear CKA equals its paper's."""

import math

import numpy as np
import pytest
import torch

from headstart.explain.cka import linear_cka


def by_hsic(x, y):
    """Kornblith et al. 2019, section 3: HSIC of explicit, explicitly centred kernels, in numpy."""
    count = len(x)
    centring = np.eye(count) - np.ones((count, count)) / count
    k, m = x @ x.T, y @ y.T

    def hsic(a, b):
        return np.trace(a @ centring @ b @ centring) / (count - 1) ** 2

    return hsic(k, m) / math.sqrt(hsic(k, k) * hsic(m, m))


@pytest.mark.parametrize(("count", "first", "second"), [(50, 5, 8), (10, 30, 4), (12, 20, 25)])
def test_cka_is_that_of_hsic_with_explicit_kernels_whichever_side_is_longer(count, first, second):
    torch.manual_seed(0)
    x, y = torch.randn(count, first) + 2, torch.randn(count, second)
    y[:, :3] += x[:, :3]
    assert linear_cka(x, y) == pytest.approx(by_hsic(x.double().numpy(), y.double().numpy()), rel=1e-10)
    assert linear_cka(y, x) == pytest.approx(linear_cka(x, y), rel=1e-12)


@pytest.mark.parametrize("count", [40, 6])
def test_a_rotation_a_shift_and_a_scale_leave_it_at_one(count):
    torch.manual_seed(0)
    x = torch.randn(count, 8, dtype=torch.float64)
    rotation, _ = torch.linalg.qr(torch.randn(8, 8, dtype=torch.float64))
    assert linear_cka(x, 3 * x @ rotation + 5) == pytest.approx(1, abs=1e-12)


def test_it_is_no_distance_of_single_directions_and_by_hand_a_half_power():
    x = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])  # two axes, each as long
    assert linear_cka(x[:, :1], x[:, 1:]) == pytest.approx(0, abs=1e-12)
    # |Y^T X|^2 = 16, |Y^T Y| = 4, |X^T X| = 4 sqrt(2)
    assert linear_cka(x, x[:, :1]) == pytest.approx(1 / math.sqrt(2), rel=1e-12)


def test_what_does_not_vary_has_none_and_other_images_are_an_error():
    assert math.isnan(linear_cka(torch.ones(5, 3), torch.randn(5, 3)))
    with pytest.raises(ValueError, match="got 5 and 6"):
        linear_cka(torch.zeros(5, 3), torch.zeros(6, 3))

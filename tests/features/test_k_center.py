"""A k-centre choice is far from everything, within twice the least possible distance."""

from itertools import combinations

import pytest
import torch

from headstart.features.active_learning import next_to_label
from headstart.features.k_center import k_center


def radius(points, centers):
    return float(torch.cdist(points, centers).min(dim=1).values.max())


def test_points_on_a_line_by_hand():
    line = torch.tensor([[0.0], [1.0], [4.0], [9.0]])
    assert k_center(line, 3, torch.tensor([[0.0]])) == [3, 2, 1]
    assert k_center(line, 2) == [2, 3]  # 4 is nearest the mean 3.5, and 9 is 5 away


@pytest.mark.parametrize("seed", range(5))
def test_the_largest_distance_is_at_most_twice_the_least_possible(seed):
    points = torch.randn(9, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    best = min(radius(points, points[list(chosen)]) for chosen in combinations(range(9), 3))
    assert radius(points, points[k_center(points, 3)]) <= 2 * best + 1e-9


def test_no_point_is_chosen_twice_though_points_are_equal():
    assert sorted(k_center(torch.zeros(4, 2), 4)) == [0, 1, 2, 3]


def test_too_many_are_an_error():
    with pytest.raises(ValueError, match="0 to 2 rows"):
        k_center(torch.zeros(2, 2), 3)


def test_what_is_chosen_to_be_labelled_is_uncertain_and_not_alike():
    sure = torch.tensor([[0.99, 0.01]]).repeat(40, 1)
    unsure = torch.tensor([[0.51, 0.49]]).repeat(20, 1)
    features = torch.cat([100 * torch.ones(40, 2), torch.zeros(19, 2), torch.tensor([[3.0, 0.0]])])
    chosen = next_to_label(torch.cat([sure, unsure]), features, torch.tensor([[-1.0, 0.0]]), 2)
    assert chosen[0] == 59, "the uncertain one that lies apart"
    assert 40 <= chosen[1] < 59

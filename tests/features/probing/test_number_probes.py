"""Heads on features that predict numbers equal scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor

from headstart.features.principal_axes import principal_axes
from headstart.features.probing.number_probes import neighbour_numbers, ridge_numbers

CHANCE = np.random.default_rng(0)


@pytest.mark.parametrize("width", [5, 40])
def test_ridge_regression_of_numbers_is_scikit_learns(width):
    x, y = CHANCE.normal(2, 1, (30, width)), CHANCE.normal(5, 2, (30, 2))
    heads = ridge_numbers(principal_axes(torch.from_numpy(x)), torch.from_numpy(y), [0.01, 3.0])
    for number, strength in enumerate((0.01, 3.0)):
        theirs = Ridge(alpha=strength * 30).fit(x, y)
        np.testing.assert_allclose(heads.weight[number], theirs.coef_, atol=1e-9)
        np.testing.assert_allclose(heads.bias[number], theirs.intercept_, rtol=1e-9)


@pytest.mark.parametrize("measure", ["cosine", "euclidean"])
def test_neighbours_of_numbers_are_scikit_learns(measure):
    train, query, y = (torch.from_numpy(CHANCE.normal(1, 1, shape)) for shape in ((40, 6), (15, 6), (40, 2)))
    found = neighbour_numbers(train, y, query, measure=measure, ks=[1, 7], temperature=0.1)
    for k, numbers in zip((1, 7), found, strict=True):
        theirs = KNeighborsRegressor(k, metric=measure).fit(train.numpy(), y.numpy()).predict(query.numpy())
        np.testing.assert_allclose(numbers, theirs)


def test_softmax_neighbours_count_by_their_similarity_and_k_is_at_most_the_images():
    train, y = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[2.0], [4.0]])
    found = neighbour_numbers(train, y, torch.tensor([[1.0, 0.0]]), measure="softmax", ks=[2], temperature=0.5)
    weight = np.exp(0 / 0.5) / (np.exp(1 / 0.5) + np.exp(0 / 0.5))
    assert found.item() == pytest.approx(2 * (1 - weight) + 4 * weight)
    with pytest.raises(ValueError, match="k must be 1 to the 2 training images, got 3"):
        neighbour_numbers(train, y, train, measure="cosine", ks=[3], temperature=1)

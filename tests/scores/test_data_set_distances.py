"""Distances between data sets: formulas written out, laws, and input that says nothing."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.optimize import linear_sum_assignment
from scipy.stats import ortho_group

from headstart.adaptation.mmd import gaussians, mmd, squared_distances
from headstart.explain.cka import linear_cka
from headstart.scores import (
    class_distances,
    data_set_transport,
    debiased_linear_cka,
    frechet_distance,
    gaussian_mmd,
)


def cloud(images=40, width=5, seed=0, shift=0.0, classes=3):
    rng = np.random.default_rng(seed)
    labels = np.arange(images) % classes
    means = np.random.default_rng(99).normal(size=(classes, width))
    return shift + means[labels] + rng.normal(size=(images, width)) @ rng.normal(size=(width, width)), labels


def transport(one, other):
    return data_set_transport(*one, *other)


PLAIN = {"mmd": gaussian_mmd, "frechet": frechet_distance}
DISTANCES = {name: lambda one, other, f=f: f(one[0], other[0]) for name, f in PLAIN.items()} | {"otdd": transport}


@pytest.mark.parametrize(("n", "width"), [(40, 5), (12, 30)])
def test_the_frechet_distance_is_its_formula(n, width):
    x, y = cloud(n, width)[0], cloud(n + 7, width, seed=1, shift=0.5)[0]
    one, other = np.cov(x.T), np.cov(y.T)
    root = np.sqrt(np.linalg.eigvals(one @ other).astype(complex)).real.sum()
    wanted = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(one) + np.trace(other) - 2 * root
    assert frechet_distance(x, y) == pytest.approx(wanted, rel=1e-5)
    if n > width:
        assert root == pytest.approx(sqrtm(one @ other).trace().real, rel=1e-6)


def test_the_frechet_distance_of_numbers_by_hand():
    # means 1 and 4, variances 1 and 4: 9 + 1 + 4 - 2 * 2
    assert frechet_distance([[0.0], [1.0], [2.0]], [[2.0], [4.0], [6.0]]) == pytest.approx(10.0)


def test_mmd_is_that_of_the_adaptation_with_the_median_as_scale():
    x, y = cloud()[0], cloud(30, seed=1, shift=1.0)[0]
    both = torch.from_numpy(np.concatenate([x, y]))
    squares = squared_distances(both)
    median = squares[torch.triu_indices(70, 70, 1).unbind()].quantile(0.5)
    wanted = mmd(gaussians(squares, median, [0.0]), 40, "biased")
    assert gaussian_mmd(x, y) == pytest.approx(wanted.item(), rel=1e-8)


def test_otdd_is_the_best_assignment_of_as_many_images():
    (x, k), (y, m) = cloud(24), cloud(24, seed=1, shift=1.0)
    between, _, _ = class_distances(x, k, y, m)
    cost = ((x[:, None] - y[None]) ** 2).sum(axis=2) + between[k[:, None], m]
    at = linear_sum_assignment(cost)
    assert data_set_transport(x, k, y, m) == pytest.approx(cost[at].mean(), rel=1e-9)


def test_class_distances_are_frechet_distances_of_the_classes():
    (x, k), (y, m) = cloud(), cloud(30, seed=1, classes=2)
    found, rows, columns = class_distances(x, k + 4, y, m)
    assert (rows.tolist(), columns.tolist()) == ([4, 5, 6], [0, 1])
    assert found[2, 1] == pytest.approx(frechet_distance(x[k == 2], y[m == 1]))


def test_debiased_cka_is_its_formula_written_out():
    x, y = cloud(9, 4)[0], cloud(9, 6, seed=1)[0]

    def hsic(k, m):
        n, k, m = len(k), k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
        one = np.ones(n)
        total = np.trace(k @ m) + (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
        return (total - 2 / (n - 2) * (one @ k @ m @ one)) / (n * (n - 3))

    k, m = x @ x.T, y @ y.T
    assert debiased_linear_cka(x, y) == pytest.approx(hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m)), rel=1e-9)


def test_debiased_cka_of_unrelated_wide_features_is_around_0_where_the_plain_one_is_near_1():
    rng = np.random.default_rng(0)
    found = [debiased_linear_cka(rng.normal(size=(20, 500)), rng.normal(size=(20, 500))) for _ in range(30)]
    assert np.mean(found) == pytest.approx(0, abs=0.05)
    plain = linear_cka(torch.from_numpy(rng.normal(size=(20, 500))), torch.from_numpy(rng.normal(size=(20, 500))))
    assert plain > 0.9


def test_debiased_cka_of_many_images_is_the_plain_one():
    x = np.random.default_rng(0).normal(size=(4000, 3))
    y = x @ np.random.default_rng(1).normal(size=(3, 3)) + np.random.default_rng(2).normal(size=(4000, 3))
    assert debiased_linear_cka(x, y) == pytest.approx(linear_cka(torch.from_numpy(x), torch.from_numpy(y)), abs=2e-3)


def test_debiased_cka_ignores_rotation_shift_scale_and_the_order_of_images():
    x, y = cloud(20)[0], cloud(20, seed=1)[0]
    order = np.random.default_rng(2).permutation(20)
    turned = 3 * x @ ortho_group(5, seed=1).rvs() + 50
    assert debiased_linear_cka(turned[order], y[order]) == pytest.approx(debiased_linear_cka(x, y), rel=1e-8)
    assert debiased_linear_cka(y, x) == pytest.approx(debiased_linear_cka(x, y))
    assert debiased_linear_cka(x, turned) == pytest.approx(1)
    assert np.isnan(debiased_linear_cka(x, np.full((20, 3), 7.1)))


@pytest.mark.parametrize("name", sorted(DISTANCES))
def test_equal_data_in_any_order_have_the_distance_0(name):
    x, labels = cloud()
    order = np.random.default_rng(3).permutation(40)
    assert DISTANCES[name]((x, labels), (x[order], labels[order])) == pytest.approx(0, abs=1e-9 * (x**2).sum())


@pytest.mark.parametrize("name", sorted(DISTANCES))
def test_the_two_data_sets_may_change_places_and_turn_together(name):
    one, other = cloud(), cloud(30, seed=1, shift=1.0)
    found = DISTANCES[name](one, other)
    turn = ortho_group(5, seed=1).rvs()
    turned = [(features @ turn + 3, labels) for features, labels in (one, other)]
    assert found > 0
    assert DISTANCES[name](other, one) == pytest.approx(found, rel=1e-7)
    assert DISTANCES[name](*turned) == pytest.approx(found, rel=1e-6)


@pytest.mark.parametrize("name", sorted(DISTANCES))
def test_what_lies_farther_has_a_larger_distance(name):
    found = [DISTANCES[name](cloud(), cloud(seed=1, shift=shift)) for shift in (0.0, 2.0, 6.0)]
    assert found == sorted(found)


@pytest.mark.parametrize("name", sorted(DISTANCES))
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((np.zeros((4, 3)), np.arange(4) % 2), (np.zeros((5, 3)), np.zeros(5, int))),
        ((np.ones((1, 3)), np.zeros(1, int)), (np.arange(12.0).reshape(4, 3), np.arange(4))),
    ],
)
def test_constant_features_and_single_images_are_finite(name, one, other):
    assert 0 <= DISTANCES[name](one, other) < np.inf


@pytest.mark.parametrize("name", sorted(DISTANCES))
@pytest.mark.parametrize(
    ("features", "said"), [(np.ones((4, 2)), "equally wide"), (np.full((4, 5), np.nan), "must be finite")]
)
def test_features_that_cannot_be_compared_are_one_error(name, features, said):
    with pytest.raises(ValueError, match=said):
        DISTANCES[name](cloud(), (features, np.arange(4)))

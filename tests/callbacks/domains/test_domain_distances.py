"""domains/mmd and domains/a_distance are the distances of two clouds of features."""

import math

import numpy as np
import pytest
import torch

from headstart.adaptation.adaptation import Side
from headstart.callbacks.domains.domain_distances import IMAGES, distances, mk_mmd
from headstart.features.a_distance import a_distance
from headstart.selection.score_inputs import Sides


def cloud(count, by, seed):
    return torch.tensor(np.random.default_rng(seed).normal(by, 1, (count, 12)))


def sides(source, target):
    def side(features, label):
        return Side(features, torch.zeros(len(features), 2), label)

    return Sides(None, side(source, torch.zeros(len(source), dtype=torch.int64)), side(target, None))


def numpy_mmd(source, target):
    """Eq. 3 of Gretton et al. 2012, pair by pair."""
    both = np.concatenate([source, target])
    apart = np.array([[np.sum((a - b) ** 2) for b in both] for a in both])
    between = np.sort(apart[np.triu_indices(len(both), 1)])
    median = between[(len(between) - 1) // 2]  # of an even number the lower one, as torch has it
    kernel = np.mean([np.exp(-apart / (2.0**octave * median)) for octave in range(-2, 3)], axis=0)
    n, m = len(source), len(target)
    own = sum(kernel[i, j] for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    other = sum(kernel[n + i, n + j] for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return own + other - 2 * kernel[:n, n:].mean()


def test_mmd_matches_numpy_pair_by_pair():
    source, target = cloud(30, 0, 0), cloud(21, 0.7, 1)
    assert mk_mmd(source, target).item() == pytest.approx(numpy_mmd(source.numpy(), target.numpy()), rel=1e-9)


def test_mmd_is_the_same_from_both_sides_and_in_other_units():
    source, target = cloud(40, 0, 0), cloud(25, 0.5, 1)
    want = mk_mmd(source, target).item()
    assert mk_mmd(target, source).item() == pytest.approx(want, rel=1e-9)
    assert mk_mmd(1000 * source, 1000 * target).item() == pytest.approx(want, rel=1e-9)


def test_two_halves_of_a_cloud_have_about_none_and_it_grows_with_the_distance():
    whole = cloud(800, 0, 0)
    by = [mk_mmd(whole[:400], whole[400:] + shift).item() for shift in (0, 0.5, 1, 2)]
    assert abs(by[0]) < 0.002
    assert by == sorted(by)


def test_the_figures_are_of_the_same_few_images_each_time_in_random_order():
    """Domains whose two classes stand one after the other: the half that is held out has both."""
    source, target = (torch.cat([cloud(400, 0, seed), cloud(400, 9, seed + 1)]) for seed in (0, 2))
    both = sides(source, target)
    kept = [side.features for side in both.few(IMAGES)]
    assert [len(one) for one in kept] == [IMAGES, IMAGES]
    assert len(kept[0].unique(dim=0)) == IMAGES
    found = distances(both)
    assert found == distances(sides(source, target))
    assert found == {
        "domains/a_distance": a_distance(*kept, strength=0.1),
        "domains/mmd": mk_mmd(*kept).item(),
    }
    assert abs(found["domains/a_distance"]) < 0.3


@pytest.mark.parametrize("spoilt", [torch.full((5, 12), torch.inf), torch.zeros(1, 12)])
def test_of_numbers_too_large_or_a_single_image_there_is_no_distance(spoilt):
    assert all(math.isnan(value) for value in distances(sides(cloud(9, 0, 0), spoilt)).values())

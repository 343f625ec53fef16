"""Neighbours are neighbours on the plane, and no random state moves."""

import random

import numpy as np
import torch

from headstart.features.tsne import tsne


def test_far_clouds_stay_apart_and_a_run_goes_on_as_if_nothing_was_drawn():
    drawn = np.random.default_rng(0)
    features = np.concatenate([drawn.normal(by, 1, (40, 8)) for by in (0, 30)]).astype(np.float32)
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(3)
    want = random.random(), np.random.random(), torch.rand(1)
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(3)
    places = tsne(features, seed=0)
    assert (random.random(), np.random.random(), torch.rand(1)) == want
    first, second = places[:40], places[40:]
    inside = max(np.linalg.norm(part - part.mean(0), axis=1).max() for part in (first, second))
    assert np.linalg.norm(first.mean(0) - second.mean(0)) > 2 * inside
    assert np.array_equal(tsne(features, seed=0), places)


def test_few_images_have_places_too():
    assert tsne(np.random.default_rng(0).normal(size=(4, 3)), seed=0).shape == (4, 2)

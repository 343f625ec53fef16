"""k-NN equals scikit-learn's, DINO's and a hand computation."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from headstart.features.probing import neighbour_probe as module
from headstart.features.probing.neighbour_probe import neighbours

KS = [1, 3, 8]


def cloud(n=60, d=5, k=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator) + 3, torch.arange(n) % k


def said(train, labels, query, measure="cosine", ks=KS, temperature=0.07):
    return neighbours(train, labels, query, 4, measure=measure, ks=ks, temperature=temperature)


@pytest.mark.parametrize("measure", ["cosine", "euclidean"])
def test_equal_votes_are_those_of_scikit_learn(measure, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 600)  # several parts
    (train, labels), (query, _) = cloud(), cloud(seed=1)
    found = said(train, labels, query, measure)
    for row, k in zip(found, KS, strict=True):
        want = KNeighborsClassifier(k, metric=measure).fit(train.numpy(), labels.numpy()).predict(query.numpy())
        assert np.array_equal(row, want)


def test_weighted_votes_are_those_of_dinos_code():
    (train, labels), (query, _) = cloud(), cloud(seed=1)
    a, b = (x.double().numpy() / np.linalg.norm(x, axis=1, keepdims=True) for x in (query, train))
    similarity = a @ b.T
    found = said(train, labels, query, "softmax")
    for row, k in zip(found, KS, strict=True):
        for i, near in enumerate(np.argsort(-similarity, axis=1)[:, :k]):
            votes = np.zeros(4)
            np.add.at(votes, labels.numpy()[near], np.exp(similarity[i, near] / 0.07))
            assert row[i] == votes.argmax()


@pytest.mark.parametrize("measure", ["cosine", "euclidean", "softmax"])
def test_the_nearest_of_a_training_image_is_itself(measure):
    train, labels = cloud(n=300, d=20)
    assert torch.equal(said(train, labels, train, measure, [1])[0], labels)


@pytest.mark.parametrize("measure", ["cosine", "softmax"])
def test_cosine_does_not_see_how_long_features_are(measure):
    (train, labels), (query, _) = cloud(), cloud(seed=1)
    scale = torch.rand(60, 1) + 0.1
    assert torch.equal(said(train, labels, query, measure), said(scale * train, labels, 7 * query, measure))


def test_euclidean_does_not_see_where_the_origin_is():
    (train, labels), (query, _) = cloud(), cloud(seed=1)
    assert torch.equal(said(train, labels, query, "euclidean"), said(train - 1000, labels, query - 1000, "euclidean"))


def test_by_hand():
    # on a line: class 0 at 0, class 1 at 3, 4 and 5; from 1 the nearest is 0, of the three nearest two are 1s;
    # of two neighbours with one vote each the first class counts
    train, labels = torch.tensor([[0.0], [3.0], [4.0], [5.0]]), torch.tensor([0, 1, 1, 1])
    found = neighbours(train, labels, torch.tensor([[1.0]]), 2, measure="euclidean", ks=[1, 2, 3], temperature=1)
    assert found[:, 0].tolist() == [0, 0, 1]


def test_a_cold_vote_is_that_of_the_nearest_and_a_hot_one_counts_heads():
    (train, labels), (query, _) = cloud(), cloud(seed=1)
    cold = said(train, labels, query, "softmax", [8], temperature=1e-6)
    assert torch.equal(cold, said(train, labels, query, "cosine", [1]))
    hot, equal = said(train, labels, query, "softmax", [7], 1e4), said(train, labels, query, "cosine", [7])
    assert (hot == equal).float().mean() > 0.8  # where votes are equal the nearer ones weigh more


@pytest.mark.parametrize("ks", [[61], [0], [1, 61]])
def test_more_neighbours_than_images_is_an_error(ks):
    with pytest.raises(ValueError, match="k must be 1 to the 60 training images"):
        said(*cloud(), cloud()[0], ks=ks)  # type: ignore[call-arg]

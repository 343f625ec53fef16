"""Ridge and logistic regression equal scikit-learn's, and their laws hold."""

import logging

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, RidgeClassifier

from headstart.features.principal_axes import principal_axes
from headstart.features.probing import logistic_probe as logistic_module
from headstart.features.probing.logistic_probe import logistic
from headstart.features.probing.ridge_probe import ridge

SHAPES = [(80, 6), (30, 50)]  # more images than features, and fewer
C = [0.001, 0.1, 10.0]


def cloud(n, d, k=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(k, (n,), generator=generator)
    labels[:k] = torch.arange(k)
    means = torch.randn(k, d, generator=generator)
    features = means[labels] + 1.5 * torch.randn(n, d, generator=generator) + 5
    features[:, 0] *= 20  # features of unequal size, and away from 0
    return features, labels


@pytest.mark.parametrize("shape", SHAPES)
def test_the_axes_give_the_features_back(shape):
    features, _ = cloud(*shape)
    found = principal_axes(features)
    assert len(found.spread) == min(shape[0] - 1, shape[1])
    assert torch.allclose(found.coordinates @ found.basis.T + found.mean, features.double(), atol=1e-4)
    assert torch.allclose(found.basis.T @ found.basis, torch.eye(len(found.spread)).double(), atol=1e-8)
    assert torch.allclose(found.coordinates.square().sum(0), found.spread)
    want = np.linalg.svd(features.double() - features.double().mean(0), compute_uv=False)[: len(found.spread)]
    assert np.allclose(found.spread, want**2)


def test_features_that_are_copies_of_each_other_are_one_axis():
    one = torch.randn(20, 1)
    assert principal_axes(torch.cat([one, 2 * one, torch.ones(20, 3)], dim=1)).spread.shape == (1,)
    assert principal_axes(torch.ones(5, 3)).spread.shape == (0,)


@pytest.mark.parametrize("shape", SHAPES)
def test_ridge_is_that_of_scikit_learn(shape):
    features, labels = cloud(*shape)
    strengths = [0.01, 1.0, 100.0]
    found = ridge(principal_axes(features), labels, 3, strengths)
    for number, strength in enumerate(strengths):
        # its targets are -1 and 1, ours 0 and 1: twice the weights
        want = RidgeClassifier(alpha=strength * len(labels)).fit(features.double().numpy(), labels.numpy())
        assert np.allclose(2 * found.weight[number], want.coef_, atol=1e-8)
        assert np.allclose(2 * found.bias[number] - 1, want.intercept_, atol=1e-7)
        assert np.array_equal(found.predictions(features)[number], want.predict(features.double().numpy()))


def test_ridge_by_hand():
    # features -1, 1 of classes 0, 1: y - 1/2 = x/2, so w = 1 / (2 + 2 strength), half of it at strength 0.5
    found = ridge(principal_axes(torch.tensor([[-1.0], [1.0]])), torch.tensor([0, 1]), 2, [1e-12, 1.0])
    assert np.allclose(found.weight[:, :, 0], [[-0.5, 0.5], [-0.25, 0.25]])
    assert np.allclose(found.bias, 0.5)


def test_an_infinite_ridge_says_the_mean_and_none_reproduces_the_labels():
    features, labels = cloud(30, 50)
    found = ridge(principal_axes(features), labels, 3, [1e12, 1e-12])
    share = torch.bincount(labels) / len(labels)
    said = found.logits(features)  # (2, 3, 30)
    assert torch.allclose(said[0], share.double()[:, None].expand(3, 30), atol=1e-8)
    assert torch.allclose(said[1], torch.nn.functional.one_hot(labels, 3).double().T, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("k", [2, 3])
def test_logistic_regression_is_that_of_scikit_learn(shape, k):
    features, labels = cloud(*shape, k=k)
    features = (features - features.mean(0)) / features.std(0)  # or scikit-learn does not converge
    found = logistic(principal_axes(features), labels, k, C)
    for number, c in enumerate(C):
        # of two classes it keeps the difference w: ours are w/2 and -w/2, with half the penalty of w
        want = LogisticRegression(C=c if k > 2 else 2 * c, tol=1e-8, max_iter=20000)
        want.fit(features.double().numpy(), labels.numpy())
        weight, bias = found.weight[number], found.bias[number] - found.bias[number].mean()
        if k == 2:
            weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]
        assert np.allclose(weight, want.coef_, atol=1e-3)
        assert np.allclose(bias, want.intercept_, atol=1e-3)
        chance = found.logits(features)[number].T.softmax(1)
        assert np.allclose(chance, want.predict_proba(features.double().numpy()), atol=1e-3)


def test_a_small_c_says_the_class_frequencies_and_the_slope_at_the_end_is_zero():
    features, labels = cloud(80, 6)
    found = logistic(principal_axes(features), labels, 3, [1e-9, 1.0])
    said = found.logits(features).softmax(dim=1)
    share = (torch.bincount(labels) / len(labels)).double()
    assert torch.allclose(said[0], share[:, None].expand(3, 80), atol=1e-5)
    weight = found.weight[1].clone().requires_grad_()
    bias = found.bias[1].clone().requires_grad_()
    logits = features.double() @ weight.T + bias
    loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum") + weight.square().sum() / 2
    loss.backward()
    assert max(weight.grad.abs().max(), bias.grad.abs().max()) < 1e-3


def test_heads_do_not_know_of_each_other():
    features, labels = cloud(80, 6)
    together = logistic(principal_axes(features), labels, 3, C)
    for number, c in enumerate(C):
        single = logistic(principal_axes(features), labels, 3, [c])
        assert torch.allclose(together.weight[number], single.weight[0], atol=1e-6)


def test_a_head_that_does_not_converge_is_named(monkeypatch, caplog):
    monkeypatch.setattr(logistic_module, "ITERATIONS", 2)
    with caplog.at_level(logging.WARNING):
        logistic(principal_axes(cloud(80, 6)[0]), cloud(80, 6)[1], 3, [10.0])
    assert "not converged in 2 steps at C = 10" in caplog.text

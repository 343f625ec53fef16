"""Standardisation of what the last layer of a head reads, with the numbers of the training images."""

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from headstart.modules.heads.attentive_head import AttentiveHead
from headstart.modules.heads.classification_head import PRIOR_IMAGES
from headstart.modules.heads.cosine_head import CosineHead
from headstart.modules.heads.linear_head import LinearHead, class_means
from headstart.modules.heads.mlp_head import MLPHead

HEADS = {
    "linear": lambda **settings: LinearHead(width=4, num_classes=3, **settings),
    "cosine": lambda **settings: CosineHead(width=4, num_classes=3, scale=10.0, **settings),
    "mlp": lambda **settings: MLPHead(
        width=4, num_classes=3, hidden_width=6, activation="tanh", dropout=0.0, **settings
    ),
    "attentive": lambda **settings: AttentiveHead(
        width=4, num_classes=3, blocks=1, attention_heads=2, class_tokens=0, **settings
    ),
}


def images(count=30):
    generator = torch.Generator().manual_seed(0)
    spread = torch.tensor([1.0, 2.0, 0.5, 3.0])
    return torch.randn(count, 4, generator=generator) * spread + 2, torch.arange(count) % 3


def test_with_many_images_the_scale_is_scikit_learns():
    features, labels = images(200_000)
    head = LinearHead(width=4, num_classes=3, init="class_means", standardise=True)
    head.set_class_means(features, labels)
    theirs = StandardScaler().fit(features.numpy())
    np.testing.assert_allclose(head.mean.numpy(), theirs.mean_, rtol=1e-3)
    np.testing.assert_allclose(head.std.numpy(), theirs.scale_, rtol=0.02)
    scaled = (features - head.mean) / head.std
    weight, bias = class_means(scaled, labels, 3)
    torch.testing.assert_close(head(features), scaled @ weight.T + bias, rtol=1e-3, atol=1e-4)


def test_a_variance_is_that_of_the_images_and_of_100_more_with_the_mean_of_all_variances():
    features, labels = images(10)
    head = LinearHead(width=4, num_classes=3, init="class_means", standardise=True)
    head.set_class_means(features, labels)
    variance = features.numpy().var(axis=0)
    want = np.sqrt((10 * variance + 100 * variance.mean()) / 110)
    assert PRIOR_IMAGES == 100
    np.testing.assert_allclose(head.std.numpy(), want, rtol=1e-5)


@pytest.mark.parametrize("kind", HEADS)
def test_no_unit_of_a_feature_counts_where_the_head_standardises(kind):
    features, labels = images()
    rows = features[:, :, None, None] if kind == "attentive" else features
    head = HEADS[kind](init="class_means", standardise=True).eval()
    head.set_class_means(head.summary(rows), labels)
    summary = head.summary(rows).detach()
    other = HEADS[kind](init="class_means", standardise=True).eval()
    other.load_state_dict(head.state_dict())
    other.set_class_means(5 * summary + 3, labels)  # the same numbers in other units
    torch.testing.assert_close(other.last(other._scaled(5 * summary + 3)), head(rows), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", HEADS)
def test_the_numbers_are_in_the_state_dict_where_the_head_standardises_alone(kind):
    assert {"mean", "std"} <= HEADS[kind](init="random", standardise=True).state_dict().keys()
    assert not {"mean", "std"} & HEADS[kind](init="random", standardise=False).state_dict().keys()
    assert not {"mean", "std"} & HEADS[kind](init="source", standardise=True).state_dict().keys()


def test_a_feature_that_does_not_vary_is_no_infinity():
    features, labels = torch.ones(6, 4), torch.arange(6) % 3
    head = LinearHead(width=4, num_classes=3, init="class_means", standardise=True)
    head.set_scale(features)
    assert torch.isfinite(head(features)).all()
    assert labels.max() == 2


@pytest.mark.parametrize("kind", ["linear", "mlp", "attentive"])
def test_a_source_head_that_standardises_has_the_same_logits_in_a_head_that_does_not(kind):
    features, labels = images()
    features = features[:, None] if kind == "attentive" else features  # (B, tokens, width)
    source = HEADS[kind](init="class_means", standardise=True).eval()
    source.set_class_means(source.summary(features), labels)
    target = HEADS[kind](init="source", standardise=True).eval()
    target.set_source(source.state_dict(), ("ant", "bee", "cow"), ("cow", "ant", "bee"))
    assert "mean" not in target.state_dict()
    torch.testing.assert_close(target(features), source(features)[:, [2, 0, 1]], rtol=1e-4, atol=1e-5)

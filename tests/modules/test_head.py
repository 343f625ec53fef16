import math

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestCentroid
from torch.nn.functional import cross_entropy

from headstart.modules.head import LinearHead, class_means, label_means
from headstart.types import UserError


def clouds(shots=6, classes=4, d=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    centres = 1.5 * torch.randn(classes, d, generator=generator)
    labels = torch.arange(classes).repeat_interleave(shots)
    return centres[labels] + torch.randn(len(labels), d, generator=generator) + 3, labels


def test_class_means_predicts_as_scikit_learns_nearest_centroid():
    features, labels = clouds()
    unseen, _ = clouds(shots=50, seed=0)
    weight, bias = class_means(features, labels, 4)
    want = NearestCentroid().fit(features.numpy(), labels.numpy()).predict(unseen.numpy())
    assert np.array_equal((unseen @ weight.T + bias).argmax(dim=1).numpy(), want)


def test_class_means_softmax_is_that_of_the_negative_squared_distances():
    features, labels = clouds()
    weight, bias = class_means(features, labels, 4)
    means = torch.stack([features[labels == c].mean(dim=0) for c in range(4)])
    squared = torch.cdist(features, means).square()
    logits = features @ weight.T + bias
    scale = (logits[0, 0] - logits[0, 1]) / (squared[0, 1] - squared[0, 0])
    assert scale > 0
    torch.testing.assert_close(logits.softmax(dim=1), (-scale * squared).softmax(dim=1), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("shots", [1, 2, 20])
def test_class_means_leaves_half_of_a_guess_s_loss(shots):
    features, labels = clouds(shots)
    weight, bias = class_means(features, labels, 4)
    loss = cross_entropy(features @ weight.T + bias, labels).item()
    assert loss <= math.log(4) / 2
    assert loss == pytest.approx(math.log(4) / 2, rel=0.15)  # the grid's steps are 12 % apart


def test_class_means_does_not_depend_on_where_the_features_lie():
    features, labels = clouds()
    weight, bias = class_means(features, labels, 4)
    moved_weight, moved_bias = class_means(features + 7, labels, 4)
    torch.testing.assert_close(
        (features @ weight.T + bias).softmax(1),
        ((features + 7) @ moved_weight.T + moved_bias).softmax(1),
        rtol=1e-3,
        atol=1e-4,
    )


def test_a_class_without_an_image_is_an_error():
    with pytest.raises(ValueError, match="class 2 has none"):
        class_means(torch.randn(4, 3), torch.tensor([0, 0, 1, 1]), 3)


def test_a_source_head_comes_along_with_its_rows_in_the_target_s_order():
    head = LinearHead(width=2, num_classes=3, init="source")
    state = {
        "linear.weight": torch.tensor([[1.0, 1], [2, 2], [3, 3]]),
        "linear.bias": torch.tensor([1.0, 2, 3]),
    }
    head.set_source(state, ("a", "b", "c"), ("c", "a", "b"))
    assert head.linear.weight.tolist() == [[3, 3], [1, 1], [2, 2]]
    assert head.linear.bias.tolist() == [3, 1, 2]


@pytest.mark.parametrize(
    ("state", "names", "message"),
    [
        ({}, (), "needs source weights with a head whose classes are known"),
        ({"linear.weight": torch.ones(2, 2)}, ("a", "z"), "the source has a, z; the target has a, b"),
        ({"linear.weight": torch.ones(2, 5)}, ("a", "b"), "reads 5 features, this one 2"),
    ],
)
def test_a_source_head_that_does_not_fit_is_an_error(state, names, message):
    with pytest.raises(UserError, match=message):
        LinearHead(width=2, num_classes=2, init="source").set_source(state, names, ("a", "b"))


def test_label_means_tell_the_nearer_of_two_means_where_both_are_as_frequent():
    chance = torch.Generator().manual_seed(1)
    label = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]]).repeat(10, 1)
    features = label @ torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, 0.0]]) + torch.randn(40, 3, generator=chance)
    weight, bias = label_means(features, label)
    unseen = 2 * torch.randn(200, 3, generator=chance)
    for one in range(2):
        want = NearestCentroid().fit(features.numpy(), label[:, one].numpy()).predict(unseen.numpy())
        assert np.array_equal(((unseen @ weight.T + bias)[:, one] > 0).numpy(), want == 1)


def test_features_that_say_nothing_of_the_labels_leave_the_odds():
    label = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    weight, bias = label_means(torch.ones(4, 2), label)
    assert weight.abs().max() < 1e-6
    assert bias.tolist() == pytest.approx([math.log(4.5 / 0.5), math.log(1.5 / 3.5), math.log(0.5 / 4.5)], abs=1e-5)


def test_label_means_leave_half_the_loss_of_the_odds_where_the_classes_lie_apart():
    label = torch.tensor([[1.0], [0.0], [0.0]]).repeat(10, 1)
    head = LinearHead(width=2, num_classes=1, init="class_means")
    features = 10 * label + torch.randn(30, 2, generator=torch.Generator().manual_seed(0))
    head.set_class_means(features, label)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(head(features), label).item()
    odds = -(math.log(1 / 3) / 3 + 2 * math.log(2 / 3) / 3)
    assert 0.4 * odds < loss <= 0.51 * odds

"""Heads, and the numbers that they begin with."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax
from sklearn.neighbors import NearestCentroid
from torch.nn.functional import cross_entropy

from headstart.modules.heads.linear_head import LinearHead, best_scale, class_means, label_means
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


def scale_of(weight, means):
    """How many times the layer's weights are those of the distances."""
    at_one = 2 * (means - means.mean(dim=0))
    return float((weight * at_one).sum() / at_one.square().sum())


def minimised(loss):
    """The positive scale with the smallest loss, as scipy finds it."""
    return math.exp(minimize_scalar(lambda log: loss(math.exp(log)), bounds=(-12, 12), method="bounded").x)


@pytest.mark.parametrize("counts", [(2, 2, 2, 2), (6, 6, 6, 6), (1, 9, 3, 5)])
def test_class_means_has_the_temperature_that_fits_images_which_their_class_s_mean_leaves_out(counts):
    labels = torch.arange(4).repeat_interleave(torch.tensor(counts))
    features, _ = clouds(max(counts))
    features = torch.cat([features[c * max(counts) : c * max(counts) + n] for c, n in enumerate(counts)]).double()
    means = torch.stack([features[labels == c].mean(dim=0) for c in range(4)])
    logits, judged = [], []
    for at in range(len(labels)):
        others = [features[[i for i in range(len(labels)) if i != at and labels[i] == c]] for c in range(4)]
        if all(map(len, others)):
            logits.append([-float((features[at] - one.mean(dim=0)).square().sum()) for one in others])
            judged.append(int(labels[at]))
    assert len(judged) == sum(n for n in counts if n > 1)
    target = (len(judged) * np.eye(4)[judged] + 0.5) / (len(judged) + 2)
    want = minimised(lambda scale: -(target * log_softmax(scale * np.array(logits), axis=1)).sum(axis=1).mean())
    weight, _ = class_means(features, labels, 4)
    assert scale_of(weight, means) == pytest.approx(want, rel=1e-3)


def test_class_means_of_one_image_a_class_leaves_half_of_a_guess_s_loss():
    features, labels = clouds(1)
    weight, bias = class_means(features, labels, 4)
    loss = cross_entropy(features @ weight.T + bias, labels).item()
    assert loss <= math.log(4) / 2
    assert loss == pytest.approx(math.log(4) / 2, rel=0.15)  # the grid's steps are 12 % apart


@pytest.mark.parametrize(("shots", "gap"), [(10, 0.05), (100, 0.01)])
def test_unseen_images_have_about_the_loss_that_their_own_best_temperature_would_leave(shots, gap):
    features, labels = clouds(shots)
    unseen, truth = clouds(1000)  # the same centres
    weight, bias = class_means(features, labels, 4)
    logits = unseen @ weight.T + bias
    best = min(cross_entropy(scale * logits, truth).item() for scale in torch.logspace(-1, 1, 81))
    assert cross_entropy(logits, truth).item() == pytest.approx(best, abs=gap)


def test_best_scale_is_scipys_of_one_label_and_of_several():
    chance = np.random.default_rng(0)
    label = chance.integers(0, 5, 60)
    logits = 3 * (np.eye(5)[label] + chance.normal(size=(60, 5)))
    target = (60 * np.eye(5)[label] + 0.5) / (60 + 2.5)
    want = minimised(lambda scale: -(target * log_softmax(scale * logits, axis=1)).sum(axis=1).mean())
    assert best_scale(torch.tensor(logits), torch.tensor(label)).item() == pytest.approx(want, rel=1e-3)

    logits, offset = chance.normal(size=80) * 2, chance.normal(size=80)
    label = (chance.random(80) < expit(0.7 * logits + offset)).astype(float)
    target = (80 * label + 0.5) / 81
    want = minimised(
        lambda scale: (np.logaddexp(0, scale * logits + offset) - target * (scale * logits + offset)).mean()
    )
    found = best_scale(torch.tensor(logits), torch.tensor(label), torch.tensor(offset))
    assert found.item() == pytest.approx(want, rel=1e-3)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_a_unit_of_the_logits_changes_nothing_but_the_scale(factor):
    labels = torch.arange(12) % 3
    logits = torch.eye(3, dtype=torch.float64)[labels] + torch.linspace(0, 2, 36, dtype=torch.float64).view(12, 3).sin()
    want = best_scale(logits, labels).item() / factor
    assert best_scale(factor * logits, labels).item() == pytest.approx(want, rel=1e-6)


def test_logits_that_are_all_equal_have_a_finite_scale_and_a_head_of_equal_images_too():
    labels = torch.tensor([0, 1, 2, 0])
    assert best_scale(torch.zeros(4, 3), labels).isfinite()
    head = LinearHead(width=2, num_classes=3, init="class_means")
    head.set_class_means(torch.ones(3, 2), labels[:3])  # one image a class: no other image says how far to trust it
    assert head.linear.weight.isfinite().all()


def test_best_scale_is_positive_where_every_answer_is_wrong_and_finite_where_every_one_is_right():
    right = torch.eye(3).repeat(4, 1)
    labels = right.argmax(dim=1)
    scale = best_scale(right, labels).item()
    # 12 images: the own class has (12 + 1/2) / (12 + 3/2), and the odds to another are e^scale
    assert scale == pytest.approx(math.log(12.5 / 0.5), rel=1e-4)
    assert 0 < best_scale(-right, labels).item() < 1e-3


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
        ({"linear.weight": torch.ones(2, 5), "linear.bias": torch.ones(2)}, ("a", "b"), "reads 5 features, this one 2"),
        ({"weight": torch.ones(2, 2)}, ("a", "b"), "a head of the same kind, got one with weight for linear.weight"),
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


def test_label_means_have_the_temperature_that_fits_images_which_both_means_leave_out():
    chance = torch.Generator().manual_seed(2)
    label = (torch.rand(30, 3, generator=chance) < torch.tensor([0.5, 0.2, 0.0])).double()
    label[0, 2] = 1  # the only one: it does not count there, the others do
    features = label @ torch.randn(3, 4, generator=chance).double() + torch.randn(30, 4, generator=chance).double()
    odds = torch.log((label.sum(dim=0) + 0.5) / (30 - label.sum(dim=0) + 0.5))
    logits, offset, target = [], [], []
    for at in range(30):
        for one in range(3):
            sides = [[i for i in range(30) if i != at and label[i, one] == side] for side in (0, 1)]
            if all(sides):
                without, having = (float((features[at] - features[side].mean(dim=0)).square().sum()) for side in sides)
                logits.append(without - having)
                offset.append(float(odds[one]))
                target.append(float(label[at, one]))
    assert len(target) == 89
    soft = (89 * np.array(target) + 0.5) / 90

    def loss(scale):
        said = scale * np.array(logits) + offset
        return (np.logaddexp(0, said) - soft * said).mean()

    weight, _ = label_means(features, label)
    gap = features[label[:, 0] == 1].mean(dim=0) - features[label[:, 0] == 0].mean(dim=0)
    assert float(weight[0] @ gap / (2 * gap @ gap)) == pytest.approx(minimised(loss), rel=1e-3)


def test_the_odds_of_label_means_are_those_of_all_labels_where_they_are_known():
    features, few = torch.ones(4, 2), torch.tensor([[1.0], [1.0], [0.0], [0.0]])
    _, bias = label_means(features, few, torch.tensor([[1.0]] * 3 + [[0.0]] * 17))
    assert bias.item() == pytest.approx(math.log(3.5 / 17.5), abs=1e-5)

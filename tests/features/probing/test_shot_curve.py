"""A learning curve draws images by class, and no image measures what it has chosen."""

import numpy as np
import pytest
import torch

from headstart.features.probing.probes import LabelledFeatures
from headstart.features.probing.shot_curve import curve_sizes, drawn_images, every_second, shot_curve


def clouds(images, seed, apart=1.5):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(images) % 3
    means = torch.randn(3, 6, generator=torch.Generator().manual_seed(9))
    return LabelledFeatures(apart * means[labels] + torch.randn(images, 6, generator=generator), labels)


def test_sizes_double_up_to_half_of_all_images_and_end_with_all():
    labels = torch.zeros(100, dtype=torch.long)
    assert curve_sizes(labels, 3, None) == [3, 6, 12, 24, 48, 100]
    assert curve_sizes(labels, 3, [5, 1, 40]) == [3, 15, 100]


@pytest.mark.parametrize("count", [3, 10, 57, 119, 120])
def test_a_draw_has_the_classes_in_their_shares_and_each_once_at_least(count):
    labels = np.repeat([0, 1, 2], [90, 25, 5])
    at = drawn_images(labels, count, np.random.default_rng(0))
    assert len(set(at.tolist())) == len(at) == count
    of_class = np.bincount(labels[at], minlength=3)
    assert of_class.min() >= 1
    assert np.abs(of_class - np.array([90, 25, 5]) * count / 120).max() < 2


def test_every_second_image_of_each_class_chooses():
    assert every_second(np.array([0, 1, 0, 0, 1])).tolist() == [True, True, False, True, False]


@pytest.mark.parametrize("head", ["ridge", "logistic"])
def test_the_last_point_is_the_head_on_all_images(head):
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.preprocessing import StandardScaler

    train, val = clouds(60, 0), clouds(40, 1)
    (*_, last) = shot_curve(train, val, 3, [30, 60], head=head, strengths=[0.1], draws=3, seed=0)
    scale = StandardScaler().fit(train.features.numpy())
    x, other = scale.transform(train.features.numpy()), scale.transform(val.features.numpy())
    if head == "ridge":
        predicted = Ridge(alpha=0.1 * 60).fit(x, np.eye(3)[train.labels]).predict(other).argmax(axis=1)
    else:
        predicted = LogisticRegression(C=0.1, tol=1e-8).fit(x, train.labels).predict(other)
    assert last.correct.shape == (1, 40)
    assert (last.correct[0] == (predicted == val.labels.numpy())).all()


def test_an_image_does_not_measure_the_strength_that_it_chose():
    """On features without classes, choice and measure on the same images would be above chance."""
    generator = torch.Generator().manual_seed(0)
    train = LabelledFeatures(torch.randn(60, 40, generator=generator), torch.arange(60) % 2)
    found = []
    for seed in range(30):
        other = torch.Generator().manual_seed(seed)
        val = LabelledFeatures(torch.randn(20, 40, generator=other), torch.randint(2, (20,), generator=other))
        strengths = [10.0**power for power in range(-6, 4)]
        (point,) = shot_curve(train, val, 2, [60], head="ridge", strengths=strengths, draws=1, seed=0)
        found.append(point.correct.mean())
    assert np.mean(found) == pytest.approx(0.5, abs=0.05)

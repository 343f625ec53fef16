"""Cosine head: cosines by scipy, invariance to length, the closed form with its scale."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.spatial.distance import cdist
from scipy.special import log_softmax

from headstart.modules.heads.cosine_head import CosineHead


def cosine(width=5, **settings):
    torch.manual_seed(0)
    return CosineHead(**{"width": width, "num_classes": 3, "init": "random", "scale": 10.0} | settings)


def clouds(shots=8):
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(3).repeat_interleave(shots)
    centres = 2 * torch.randn(3, 5, generator=generator)
    return (centres[labels] + torch.randn(3 * shots, 5, generator=generator)), labels


def test_logits_are_the_scale_times_scipy_s_cosines():
    head, x = cosine(scale=4.0), torch.randn(6, 5)
    want = 4 * (1 - cdist(x.numpy(), head.weight.detach().numpy(), "cosine"))
    np.testing.assert_allclose(head(x).detach().numpy(), want, atol=1e-5)


def test_the_length_of_features_and_weights_does_not_count():
    head, x = cosine(), torch.randn(6, 5)
    before = head(x)
    with torch.no_grad():
        head.weight.mul_(torch.tensor([[0.5], [2.0], [7.0]]))
    torch.testing.assert_close(head(3 * x), before)


def test_the_scale_is_learned_and_has_no_weight_decay():
    head, x = cosine(), torch.randn(6, 5)
    head(x)[:, 0].sum().backward()
    assert head.log_scale.grad.abs().item() > 0
    assert head.log_scale.ndim == 1  # parameter_groups decays what has two dimensions or more


def test_the_closed_form_predicts_the_class_whose_mean_direction_is_nearest():
    features, labels = clouds()
    head = cosine(init="class_means")
    head.set_class_means(head.summary(features), labels)
    unit = features / features.norm(dim=1, keepdim=True)
    means = torch.stack([unit[labels == c].mean(dim=0) for c in range(3)])
    unseen = torch.randn(200, 5)
    want = cdist(unseen.numpy(), means.numpy(), "cosine").argmin(axis=1)
    assert np.array_equal(head(unseen).argmax(dim=1).numpy(), want)


def test_the_closed_form_s_scale_fits_images_that_their_class_s_sum_leaves_out():
    features, labels = clouds()
    head = cosine(init="class_means")
    head.set_class_means(head.summary(features), labels)
    x = features.double().numpy()
    unit, y = x / np.linalg.norm(x, axis=1, keepdims=True), labels.numpy()
    cosines = np.empty((len(x), 3))
    for i in range(len(x)):
        for c in range(3):
            total = unit[(y == c) & (np.arange(len(x)) != i)].sum(axis=0)
            cosines[i, c] = unit[i] @ total / np.linalg.norm(total)
    target = (len(x) * np.eye(3)[y] + 0.5) / (len(x) + 1.5)  # half an image of each class more

    def loss(log):
        return -(target * log_softmax(math.exp(log) * cosines, axis=1)).sum()

    best = math.exp(minimize_scalar(loss, bounds=(-6, 6), method="bounded").x)
    assert head.log_scale.exp().item() == pytest.approx(best, rel=1e-3)


def test_one_image_a_class_leaves_the_scale_as_it_is_set():
    head = cosine(init="class_means", scale=7.0)
    head.set_class_means(head.summary(torch.randn(3, 5)), torch.arange(3))
    assert head.log_scale.exp().item() == pytest.approx(7)


def test_a_class_without_an_image_is_an_error():
    with pytest.raises(ValueError, match="class 2 has none"):
        cosine().set_class_means(torch.randn(4, 5), torch.tensor([0, 0, 1, 1]))

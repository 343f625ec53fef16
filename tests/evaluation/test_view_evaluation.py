"""Metrics of several views are those of their mean probabilities."""

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from sklearn.metrics import average_precision_score

from headstart.evaluation.multi_label_evaluation import MultiLabelEvaluation
from headstart.evaluation.single_label_evaluation import SingleLabelEvaluation
from headstart.evaluation.view_evaluation import averaged, gain, metrics_of
from headstart.modules.labels.multi_label import SeveralLabels
from headstart.modules.labels.single_label import OneLabel

NAMES = ("a", "b", "c")
N, VIEWS = 12, 4


@pytest.fixture
def said():
    """Logits of two batches, of 5 and 7 images, each as its four views one after the other."""
    drawn = torch.Generator().manual_seed(0)
    return [torch.randn(count, 3, generator=drawn) * 2 for count in (5, 7) for _ in range(VIEWS)]


def views_of(said):
    """(views, N, classes)"""
    return torch.cat([torch.stack(said[:VIEWS]), torch.stack(said[VIEWS:])], dim=1).numpy()


@pytest.mark.parametrize(("several", "probability"), [(False, lambda x: softmax(x, axis=2)), (True, expit)])
def test_the_means_are_of_probabilities_not_of_logits(said, several, probability):
    found = averaged(said, VIEWS, several=several)
    again = found.sigmoid() if several else found.softmax(dim=1)
    np.testing.assert_allclose(again.numpy(), probability(views_of(said)).mean(axis=0), rtol=1e-4)


def test_the_figures_of_several_labels_are_those_of_the_mean_probabilities(said):
    label = (torch.arange(N)[:, None] % torch.tensor([2, 3, 4]) == 0).float()
    answers = MultiLabelEvaluation(averaged(said, VIEWS, several=True), label, [str(n) for n in range(N)], NAMES)
    found = metrics_of(SeveralLabels(3), answers, "val")
    mean = expit(views_of(said)).mean(axis=0)
    assert found["val/map"] == pytest.approx(average_precision_score(label.numpy(), mean, average="macro"))
    want = -np.where(label.numpy() > 0, np.log(mean), np.log(1 - mean)).mean()
    assert found["val/loss"] == pytest.approx(want, rel=1e-4)


def test_the_figures_of_one_label_are_those_of_the_mean_probabilities(said):
    label = torch.arange(N) % 3
    answers = SingleLabelEvaluation(
        averaged(said, VIEWS, several=False), label, [str(n) for n in range(N)], NAMES, (0, 1, 2)
    )
    found = metrics_of(OneLabel(3), answers, "test")
    mean = softmax(views_of(said), axis=2).mean(axis=0)
    assert found["test/accuracy"] == pytest.approx((mean.argmax(axis=1) == label.numpy()).mean())
    assert found["test/loss"] == pytest.approx(-np.log(mean[np.arange(N), label.numpy()]).mean(), rel=1e-4)


def test_gained_and_lost_of_several_labels_count_images_whose_labels_are_all_right():
    label = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    one = MultiLabelEvaluation(torch.tensor([[1.0, 1.0], [1.0, 1.0], [-1.0, -1.0]]), label, ["x", "y", "z"], ("a", "b"))
    several = MultiLabelEvaluation(
        torch.tensor([[1.0, -1.0], [1.0, -1.0], [-1.0, -1.0]]), label, ["x", "y", "z"], ("a", "b")
    )
    assert gain(one, several) == {"gained": 1, "lost": 1}

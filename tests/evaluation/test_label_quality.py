"""Confident learning by hand, by the paper's formulas, and on planted wrong labels."""

import numpy as np
import pytest
import torch

from headstart.evaluation.label_quality import label_quality
from headstart.features.probing.out_of_fold import out_of_fold
from headstart.features.probing.probes import LabelledFeatures
from headstart.types import UserError

# four images of class 0, three of class 1; thresholds are (.9 + .8 + .6 + .1) / 4 = .6 and (.7 + .8 + .3) / 3 = .6
LABELS = np.array([0, 0, 0, 0, 1, 1, 1])
P = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.1, 0.9], [0.3, 0.7], [0.2, 0.8], [0.7, 0.3]])


def noisy(seed, images=300, classes=4):
    rng = np.random.default_rng(seed)
    true = rng.integers(classes, size=images)
    logits = 2.5 * np.eye(classes)[true] + rng.normal(size=(images, classes))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    given = np.where(rng.random(images) < 0.1, rng.integers(classes, size=images), true)
    return given, p


def counted_for(given, p):
    """The class that each image is counted for in the confident joint, by eq. 1 and 2 of the paper; -1 for none."""
    found = []
    threshold = [p[given == name, name].mean() for name in range(p.shape[1])]
    for row in p:
        confident = [name for name in range(p.shape[1]) if row[name] >= threshold[name]]
        found.append(max(confident, key=lambda name: row[name]) if confident else -1)
    return np.array(found)


def test_a_case_by_hand():
    # counted: of the label 0 .9, .8 and .6 for 0, .9 for 1; of the label 1 .7 and .8 for 1, .7 for 0
    found = label_quality(LABELS, P)
    assert found.is_issue.tolist() == [False, False, False, True, False, False, True]
    assert found.suggested.tolist() == [1, 1, 1, 1, 0, 0, 0]
    assert found.score == pytest.approx([0.9, 0.8, 0.6, 0.1, 0.7, 0.8, 0.3])
    assert found.margin == pytest.approx([0.8, 0.6, 0.2, 0.8, 0.4, 0.6, 0.4])


@pytest.mark.parametrize("seed", range(4))
def test_it_is_what_the_paper_says(seed):
    given, p = noisy(seed)
    found, counted = label_quality(given, p), counted_for(given, p)
    wanted = (counted >= 0) & (counted != given)
    # cleanlab takes no image whose label is the likeliest class
    assert (found.is_issue == (wanted & (p.argmax(axis=1) != given))).all()
    rows = np.arange(len(given))
    others = np.where(np.eye(4, dtype=bool)[given], -1, p)
    assert found.score == pytest.approx((1 + p[rows, given] - others.max(axis=1)) / 2)


def test_the_order_of_classes_does_not_matter():
    given, p = noisy(1)
    turn = np.array([2, 0, 3, 1])  # old class -> new class
    turned = np.empty_like(p)
    turned[:, turn] = p
    one, other = label_quality(given, p), label_quality(turn[given], turned)
    assert other.score == pytest.approx(one.score)
    assert (other.is_issue == one.is_issue).all()
    assert (other.suggested == turn[one.suggested]).all()


def test_a_label_that_nobody_has_and_certain_probabilities_are_finite():
    found = label_quality([0, 0, 1], np.eye(3)[[0, 0, 1]])
    assert np.isfinite(found.score).all()
    assert not found.is_issue.any()


@pytest.mark.parametrize(
    ("labels", "p", "said"),
    [
        ([0, 1], [[0.5, 0.6], [0.5, 0.5]], "add up to 1"),
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], "classes from 0 to 1"),
        ([0], [[0.5, 0.5], [0.5, 0.5]], "are needed"),
    ],
)
def test_what_is_no_probability_is_an_error(labels, p, said):
    with pytest.raises(ValueError, match=said):
        label_quality(np.array(labels), np.array(p))


def test_of_planted_wrong_labels_four_fifths_lie_in_the_first_tenth():
    """5 % of the handwritten digits of scikit-learn, judged on their 64 pixels."""
    from sklearn.datasets import load_digits

    images, true = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    wrong = rng.permutation(len(true))[: len(true) // 20]
    given = true.copy()
    given[wrong] = (given[wrong] + rng.integers(1, 10, size=len(wrong))) % 10
    judged = out_of_fold(
        LabelledFeatures(torch.from_numpy(images).float(), torch.from_numpy(given)), 10, folds=3, strengths=[0.01],
        seed=0,
    )  # fmt: skip
    order = np.argsort(label_quality(given, judged.probabilities.numpy()).score)
    assert np.isin(order[: len(order) // 10], wrong).sum() >= 0.8 * len(wrong)


def test_without_cleanlab_the_message_has_the_line_that_installs_it(monkeypatch):
    from headstart.evaluation import label_quality as module

    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"pip install 'headstart\[label_errors\]'"):
        module.label_quality(LABELS, P)

"""Loss and metrics of each kind of labels equal the formulas and scikit-learn."""

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    precision_recall_fscore_support,
)
from torch.nn.functional import cross_entropy, one_hot

from headstart.modules.labels.multi_label import SeveralLabels
from headstart.modules.labels.single_label import OneLabel
from headstart.modules.metrics.multi_label_metrics import average_precisions, label_scores
from label_draws import measured, several

CHANCE = np.random.default_rng(0)


# ------------------------------------------------------------------ figures


@pytest.mark.parametrize("size", [60, 7])
def test_figures_of_several_labels_are_those_of_scikit_learn_whatever_the_batches(size):
    logits, label = several(CHANCE)
    found = measured(SeveralLabels(4), zip(logits.split(size), label.split(size), strict=True))
    said = (logits > 0).numpy()
    assert found == pytest.approx(
        {
            "map": average_precision_score(label, logits, average="macro"),
            "f1": f1_score(label, said, average="macro"),
            "f1_micro": f1_score(label, said, average="micro"),
            "subset_accuracy": accuracy_score(label, said),
        }
    )


def test_without_images_shares_are_0():
    figures = SeveralLabels(3).evaluation_metrics() | SeveralLabels(3).training_metrics()
    assert {name: figures[name].compute().item() for name in ("f1", "f1_micro", "subset_accuracy")} == {
        "f1": 0, "f1_micro": 0, "subset_accuracy": 0,
    }  # fmt: skip


def test_logits_between_0_and_1_are_no_probabilities():
    label = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    found = measured(SeveralLabels(2), [(torch.tensor([[0.2, 0.4], [0.3, 0.1]]), label)])
    assert (found["f1_micro"], found["subset_accuracy"]) == (pytest.approx(2 / 3), 0)  # all four are said to be there


def test_average_precision_of_a_ranking_by_hand():
    logits = torch.tensor([[4.0, 1.0], [3.0, 1.0], [2.0, 1.0], [1.0, 1.0]])
    label = torch.tensor([[1.0, 1.0], [0.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    assert average_precisions(logits, label).tolist() == pytest.approx([(1 / 1 + 2 / 3) / 2, 1 / 4])


def test_average_precision_depends_on_the_order_alone_even_where_probabilities_are_1():
    logits, label = several(CHANCE)
    torch.testing.assert_close(average_precisions(40 + logits, label), average_precisions(logits, label))


def test_the_mean_average_precision_leaves_out_a_class_that_no_image_has():
    logits, label = several(CHANCE, classes=3)
    label[:, 1] = 0
    found = average_precisions(logits, label)
    assert found.isnan().tolist() == [False, True, False]
    want = float((found[0] + found[2]) / 2)
    assert measured(SeveralLabels(3), [(logits, label)])["map"] == pytest.approx(want)
    assert SeveralLabels(3).score(logits, label).item() == pytest.approx(want)


def test_scores_by_class_are_those_of_scikit_learn():
    logits, label = several(CHANCE)
    label[:, 3] = 0
    said = (logits > 0).numpy()
    precision, recall, f1, support = precision_recall_fscore_support(label, said, average=None, zero_division=0)
    ranked = [*average_precision_score(label[:, :3], logits[:, :3], average=None), math.nan]
    for score, want in zip(
        label_scores(logits, label), zip(ranked, precision, recall, f1, support, strict=True), strict=True
    ):
        assert tuple(score) == pytest.approx(want, nan_ok=True)


def test_a_class_that_no_image_has_and_none_is_said_to_have_scores_0():
    (score,) = label_scores(torch.tensor([[-1.0], [-2.0]]), torch.zeros(2, 1))
    assert score[1:] == (0, 0, 0, 0)
    assert math.isnan(score.average_precision)


def test_figures_of_one_label_are_those_of_scikit_learn():
    logits, label = torch.randn(50, 3), torch.randint(0, 3, (50,))
    found, said = measured(OneLabel(3), [(logits, label)]), logits.argmax(dim=1)
    assert found["accuracy"] == pytest.approx(accuracy_score(label, said))
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(label, said))
    assert found["f1"] == pytest.approx(f1_score(label, said, average="macro"))
    assert OneLabel(3).score(logits, label).item() == pytest.approx(found["accuracy"])


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_balanced_accuracy_leaves_out_a_class_that_is_predicted_and_that_no_image_has():
    said, label = torch.tensor([0, 2, 1, 1, 2]), torch.tensor([0, 0, 1, 1, 1])
    found = measured(OneLabel(3), [(one_hot(said, 3).float(), label)])
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(label, said))
    assert found["f1"] == pytest.approx(f1_score(label, said, average="macro"))


# ------------------------------------------------------------------ losses


def weighted(kind, weight):
    kind.weight = torch.tensor(weight)
    return kind


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 5.0]])
def test_a_whole_share_of_one_class_is_its_label(smoothing, weight):
    kind = OneLabel(3) if weight is None else weighted(OneLabel(3), weight)
    logits, label = torch.randn(8, 3), torch.tensor([0, 1, 2, 2, 1, 0, 0, 2])
    of_labels = kind.training_loss(logits, label, smoothing=smoothing)
    of_shares = kind.training_loss(logits, one_hot(label, 3).float(), smoothing=smoothing)
    torch.testing.assert_close(of_shares, of_labels)
    want = cross_entropy(logits, label, weight=kind.weight, label_smoothing=smoothing, reduction="none").mean()
    torch.testing.assert_close(of_labels, want)


def test_weighted_shares_by_hand():
    logits = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]])
    shares = torch.tensor([[0.5, 0.5], [1.0, 0.0]])
    found = weighted(OneLabel(2), [1.0, 3.0]).training_loss(logits, shares, smoothing=0)
    terms = (0.5 * 1 + 0.5 * 3) * math.log(2) + 1 * math.log(4 / 3)
    assert found.item() == pytest.approx(terms / 2)


def test_the_loss_of_several_labels_by_hand():
    logits, label = torch.tensor([[0.0, math.log(3)]]), torch.tensor([[1.0, 0.0]])
    kind = weighted(SeveralLabels(2), [5.0, 7.0])
    assert kind.loss(logits, label).item() == pytest.approx((math.log(2) + math.log(4)) / 2)
    assert kind.training_loss(logits, label, smoothing=0).item() == pytest.approx((5 * math.log(2) + math.log(4)) / 2)
    smooth = SeveralLabels(2).training_loss(logits, label, smoothing=0.2).item()
    assert smooth == pytest.approx((math.log(2) + 0.9 * math.log(4) + 0.1 * math.log(4 / 3)) / 2)


def learnt(kind, x, label):
    """The linear layer with the least loss on all images."""
    layer = torch.nn.Linear(2, kind.num_classes, dtype=torch.float64)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=500, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = kind.training_loss(layer(x), label, smoothing=0)
        loss.backward()
        return loss

    optimizer.step(closure)
    return layer


def test_balanced_weights_learn_what_scikit_learns_do_and_find_more_of_the_rare_class():
    chance = np.random.default_rng(3)
    x = torch.from_numpy(np.concatenate([chance.normal(0, 1, (190, 2)), chance.normal(1.2, 1, (10, 2))]))
    label = torch.tensor([0] * 190 + [1] * 10)
    kind = OneLabel(2).double()
    plain = learnt(kind, x, label)
    counts = torch.bincount(label).double()
    kind.weight = kind.balancing(counts, 200 - counts, "balanced")
    balanced = learnt(kind, x, label)
    for layer, weight in ((plain, None), (balanced, "balanced")):
        want = LogisticRegression(C=1e8, class_weight=weight, tol=1e-8, max_iter=1000).fit(x.numpy(), label.numpy())
        said = layer(x).argmax(dim=1).numpy()
        np.testing.assert_array_equal(said, want.predict(x.numpy()))
        np.testing.assert_allclose((layer.weight[1] - layer.weight[0]).detach(), want.coef_[0], rtol=1e-2)
    rare = [float((layer(x).argmax(dim=1)[190:] == 1).float().mean()) for layer in (plain, balanced)]
    assert rare[1] >= rare[0] + 0.4


# ------------------------------------------------------------------ answers


def test_the_surest_wrong_answer_is_named():
    logits = torch.tensor([[3.0, 0.0], [0.0, 3.0]])
    assert (OneLabel.sureness(logits, torch.tensor([0, 0])) > 0).tolist() == [False, True]
    assert OneLabel.mistake(logits[1], torch.tensor(0), ("ants", "bees")) == "ants as bees 0.95"
    logits, label = (
        torch.tensor([[3.0, -1.0], [-4.0, 2.0], [1.0, 1.0]]),
        torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0]]),
    )
    assert (SeveralLabels.sureness(logits, label) > 0).tolist() == [False, True, False]
    assert SeveralLabels.mistake(logits[1], label[1], ("ants", "bees")) == "ants, said 0.02"
    assert SeveralLabels.mistake(logits[1], torch.tensor([0.0, 0.0]), ("ants", "bees")) == "no bees, said 0.88"

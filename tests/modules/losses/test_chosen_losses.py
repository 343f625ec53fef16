"""Metrics and losses that are chosen by option equal scikit-learn, torchvision, timm and values by hand."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import cohen_kappa_score, matthews_corrcoef, roc_auc_score, top_k_accuracy_score
from torch.nn.functional import cross_entropy, one_hot
from torchvision.ops import sigmoid_focal_loss

from headstart.modules.labels.label_choice import labels_of
from headstart.modules.labels.multi_label import SeveralLabels
from headstart.modules.labels.single_label import OneLabel
from headstart.modules.losses.asymmetric_loss import AsymmetricLoss
from headstart.modules.losses.focal_loss import FocalLoss
from headstart.modules.metrics.ranking_metrics import areas_under_roc
from headstart.types import UserError
from label_draws import measured, several

CHANCE = np.random.default_rng(0)


def weighted(kind, weight):
    kind.weight = torch.tensor(weight)
    return kind


def asymmetric(clip=0.05):
    return AsymmetricLoss(gamma_positive=1, gamma_negative=4, clip=clip)


# ------------------------------------------------------------------ metrics by option


def one_label(images=70, classes=7):
    """Logits, rounded so that some are equal, and labels."""
    label = torch.from_numpy(CHANCE.integers(0, classes, images))
    logits = one_hot(label, classes) + torch.from_numpy(CHANCE.normal(0, 1, (images, classes)))
    return logits.float().mul(4).round() / 4, label


@pytest.mark.parametrize("size", [70, 9])
@pytest.mark.parametrize(
    ("metric", "want"),
    [
        ("auroc", lambda p, y: roc_auc_score(y, p, multi_class="ovr", average="macro")),
        ("cohen_kappa", lambda p, y: cohen_kappa_score(y, p.argmax(axis=1))),
        ("matthews", lambda p, y: matthews_corrcoef(y, p.argmax(axis=1))),
        ("top2_accuracy", lambda p, y: np.mean((np.argsort(-p, axis=1)[:, :2] == y[:, None]).any(axis=1))),
        ("top5_accuracy", lambda p, y: top_k_accuracy_score(y, p, k=5)),
    ],
)  # fmt: skip
def test_the_followed_metric_of_one_label_is_that_of_scikit_learn_whatever_the_batches(metric, want, size):
    logits, label = one_label()
    logits = logits + 1e-3 * torch.arange(7)  # no equal logits in an image, of which the order would be anybody's
    kind = OneLabel(7, metric=metric)
    assert kind.monitor == metric
    right = want(logits.double().softmax(dim=1).numpy(), label.numpy())
    assert measured(kind, zip(logits.split(size), label.split(size), strict=True))[metric] == pytest.approx(right)
    assert kind.score(logits, label).item() == pytest.approx(right)


def test_the_area_under_the_curve_of_several_labels_is_that_of_scikit_learn():
    logits, label = several(CHANCE)
    found = measured(SeveralLabels(4, metric="auroc"), zip(logits.split(13), label.split(13), strict=True))
    assert found["auroc"] == pytest.approx(roc_auc_score(label, logits, average="macro"))


def test_the_area_under_the_curve_leaves_out_what_has_no_curve_and_sees_no_saturation():
    logits, label = several(CHANCE, classes=3)
    label[:, 1] = 0
    areas = areas_under_roc(logits, label)
    assert areas.isnan().tolist() == [False, True, False]
    torch.testing.assert_close(areas_under_roc(100 + logits.double(), label)[0], areas[0])
    assert SeveralLabels(3, metric="auroc").score(logits, label).item() == pytest.approx(areas[[0, 2]].mean().item())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OneLabel(3, metric="auc"), "one of accuracy, .*auroc.* an image, got auc; did you mean auroc?"),
        (lambda: SeveralLabels(3, metric="accuracy"), "one of map, .* for several labels an image, got accuracy"),
        (lambda: OneLabel(3, metric="top5_accuracy"), "needs more than 5 classes, there are 3"),
        (lambda: OneLabel(3, loss=asymmetric()), "is made for several labels an image, and the target has one class"),
        (lambda: FocalLoss(gamma=-1), "gamma must be 0 or more, got -1"),
        (lambda: asymmetric(clip=1), "clip from 0 to below 1"),
        (
            lambda: labels_of(3, multi_label=False, loss=torch.nn.MultiMarginLoss(), is_weighted=True),
            "neither module.class_weights nor",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_labels_is_told(make, message):
    with pytest.raises(UserError, match=message):
        make()


# ------------------------------------------------------------------ losses by option


@pytest.mark.parametrize("weight", [None, [1.0, 5.0, 0.5]])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("mixed", [False, True])
def test_the_focal_loss_with_gamma_0_is_the_cross_entropy_weighted_smoothed_and_mixed(weight, smoothing, mixed):
    logits, label = torch.randn(9, 3), torch.tensor([0, 1, 2] * 3)
    if mixed:
        label = torch.rand(9, 3).softmax(dim=1)
    focal, plain = OneLabel(3, loss=FocalLoss(gamma=0)), OneLabel(3)
    if weight is not None:
        focal, plain = weighted(focal, weight), weighted(plain, weight)
    found = focal.training_loss(logits, label, smoothing=smoothing)
    torch.testing.assert_close(found, plain.training_loss(logits, label, smoothing=smoothing))


def test_the_focal_loss_by_hand():
    logits, label = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]]), torch.tensor([0, 1])  # p = 3/4 and 1/2
    want = (0.25**2 * -math.log(0.75) + 0.5**2 * -math.log(0.5)) / 2
    assert OneLabel(2, loss=FocalLoss(gamma=2)).training_loss(logits, label, smoothing=0).item() == pytest.approx(want)


def test_the_focal_loss_of_several_labels_is_torchvisions():
    logits, label = several(CHANCE)
    found = SeveralLabels(4, loss=FocalLoss(gamma=2)).training_loss(logits, label, smoothing=0)
    torch.testing.assert_close(found, sigmoid_focal_loss(logits, label, alpha=-1, gamma=2, reduction="mean"))


def test_the_asymmetric_loss_is_timms_over_images_and_labels():
    from timm.loss import AsymmetricLossMultiLabel

    logits, label = several(CHANCE)
    found = SeveralLabels(4, loss=asymmetric()).training_loss(logits.requires_grad_(), label, smoothing=0)
    theirs = AsymmetricLossMultiLabel(gamma_neg=4, gamma_pos=1, clip=0.05)(logits, label) / 4  # it sums over labels
    torch.testing.assert_close(found, theirs)
    ours, other = (torch.autograd.grad(value, logits, retain_graph=True)[0] for value in (found, theirs))
    torch.testing.assert_close(ours, other)


def test_class_weights_are_the_alpha_of_the_focal_loss():
    logits, label = several(CHANCE)
    kind = weighted(SeveralLabels(4, loss=FocalLoss(gamma=2)), [3.0] * 4)
    terms = sigmoid_focal_loss(logits, label, alpha=-1, gamma=2)
    torch.testing.assert_close(kind.training_loss(logits, label, smoothing=0), (terms * (1 + 2 * label)).mean())


def test_a_loss_of_torch_is_called_with_logits_and_labels_and_val_keeps_the_cross_entropy():
    logits, label = one_label()
    kind = OneLabel(7, loss=torch.nn.MultiMarginLoss())
    want = torch.nn.functional.multi_margin_loss(logits, label)
    torch.testing.assert_close(kind.training_loss(logits, label, smoothing=0), want)
    torch.testing.assert_close(kind.loss(logits, label), cross_entropy(logits, label))

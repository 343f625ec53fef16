"""Numbers as targets: metrics, losses and the closed form are those of scikit-learn, in the targets' own units."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from torch import nn
from torch.nn.functional import huber_loss
from torchmetrics import MetricCollection

from headstart.modules.heads.linear_head import LinearHead
from headstart.modules.heads.number_head import NumberHead
from headstart.modules.heads.ridge_layer import EXPONENTS, ridge_layer
from headstart.modules.labels.label_choice import labels_of
from headstart.modules.labels.number_targets import NumberTargets, units_of
from headstart.modules.losses.focal_loss import FocalLoss
from headstart.modules.losses.number_losses import HuberLoss, SquaredError
from headstart.types import UserError

CHANCE = np.random.default_rng(0)


def years(images=50, columns=2):
    """Predicted and true numbers far from 0, of different units."""
    true = 2000 + CHANCE.normal(0, [3.0, 0.1][:columns], (images, columns))
    return torch.from_numpy(true + CHANCE.normal(0, 0.2, true.shape)).float(), torch.from_numpy(true).float()


@pytest.mark.parametrize("size", [50, 7])
def test_metrics_are_scikit_learns_on_the_whole_split_whatever_the_batches(size):
    predicted, true = years()
    kind = NumberTargets(2)
    metrics = MetricCollection(kind.training_metrics() | kind.evaluation_metrics())
    for batch in zip(predicted.split(size), true.split(size), strict=True):
        metrics.update(*batch)
    said, right = predicted.double().numpy(), true.double().numpy()
    assert {name: value.item() for name, value in metrics.compute().items()} == pytest.approx(
        {
            "mae": mean_absolute_error(right, said),
            "rmse": root_mean_squared_error(right, said),
            "r2": r2_score(right, said),
        }
    )
    assert kind.monitor == "r2"
    assert kind.score(predicted, true).item() == pytest.approx(r2_score(right, said))
    assert NumberTargets(1).monitor == "mae"


@pytest.mark.parametrize("said", [[2.0, 2.0], [2.0, 3.0]])
def test_r_squared_of_equal_numbers_is_scikit_learns(said):
    found = NumberTargets(1, metric="r2").score(torch.tensor(said)[:, None], torch.tensor([[2.0], [2.0]]))
    assert found.item() == r2_score([2.0, 2.0], said)


def test_losses_are_in_standard_deviations_of_the_training_images():
    predicted, true = years()
    for loss, want in (
        (None, lambda r: huber_loss(r, torch.zeros_like(r))),
        (HuberLoss(delta=0.5), lambda r: huber_loss(r, torch.zeros_like(r), delta=0.5)),
        (SquaredError(), lambda r: r.square().mean()),
        (nn.L1Loss(), lambda r: r.abs().mean()),
    ):
        kind = NumberTargets(2, loss=loss)
        kind.std.copy_(torch.tensor([3.0, 0.1]))
        residual = (predicted - true) / kind.std
        torch.testing.assert_close(kind.training_loss(predicted, true, smoothing=0), want(residual), rtol=1e-4, atol=0)
        torch.testing.assert_close(kind.loss(predicted, true), residual.square().mean())


@pytest.mark.parametrize(("images", "width"), [(40, 6), (12, 30)])
def test_the_closed_form_is_ridge_regression_of_the_largest_strength_within_a_standard_error(images, width):
    x = CHANCE.normal(3, 1, (images, width)) * np.linspace(0.1, 4, width)
    y = x[:, :2] @ [[1.0, 0.3], [0.2, -1.0]] + CHANCE.normal(0, 1, (images, 2)) + [2, -7]
    weight, bias, strength = ridge_layer(torch.from_numpy(x), torch.from_numpy(y))
    squared = np.linalg.svd(x - x.mean(axis=0), compute_uv=False) ** 2
    squared = squared[squared > 1e-10 * squared.max()]
    alphas = [squared.mean() * 10**exponent for exponent in EXPONENTS]

    def left_out(alpha, image):
        others = np.arange(images) != image
        return np.mean((Ridge(alpha=alpha).fit(x[others], y[others]).predict(x[[image]]) - y[image]) ** 2)

    errors = np.array([[left_out(alpha, image) for alpha in alphas] for image in range(images)])
    least = errors[:, errors.mean(axis=0).argmin()]
    well = errors.mean(axis=0) <= least.mean() + least.std(ddof=1) / np.sqrt(images)
    assert strength == pytest.approx(alphas[np.flatnonzero(well).max()])
    theirs = Ridge(alpha=strength).fit(x, y)
    np.testing.assert_allclose(weight.numpy(), theirs.coef_, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(bias.numpy(), theirs.intercept_, rtol=1e-6)


def test_the_closed_form_of_equal_features_is_the_mean():
    weight, bias, _ = ridge_layer(torch.ones(5, 3), torch.tensor([[1.0], [2], [3], [4], [5]]))
    assert (weight == 0).all()
    assert bias.tolist() == [3.0]


def test_the_head_gives_numbers_in_their_own_units_and_its_checkpoint_has_them():
    features, label = torch.randn(60, 4), 1000 + 50 * torch.randn(60, 2)
    head = NumberHead(head=LinearHead(width=4, num_classes=2, init="zeros"), num_targets=2)
    head.set_units(*units_of(label, ["a", "b"]))
    torch.testing.assert_close(head(features), label.mean(dim=0).expand(60, 2))
    head.set_class_means(features, label)
    layer = ridge_layer(features, (label - head.mean) / head.std)
    expected = (features @ layer.weight.T + layer.bias) * head.std + head.mean
    torch.testing.assert_close(head(features), expected)
    other = NumberHead(head=LinearHead(width=4, num_classes=2, init="random"), num_targets=2)
    other.load_state_dict(head.state_dict())
    torch.testing.assert_close(other(features), head(features))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: units_of(torch.ones(9, 1), ["age"]), "must differ, the 9 training images .* 0 for age, around 1"),
        (lambda: NumberTargets(1, metric="accuracy"), "one of mae, rmse, r2 for numbers as targets, got accuracy"),
        (lambda: NumberTargets(1, loss=FocalLoss(gamma=2)), "is made for one class an image or several labels"),
        (lambda: HuberLoss(delta=0), "delta must be above 0, got 0"),
        (lambda: labels_of(1, multi_label=False, regression=True, is_weighted=True), "are of classes, and the target"),
    ],
)
def test_what_does_not_fit_numbers_is_told(make, message):
    with pytest.raises(UserError, match=message):
        make()

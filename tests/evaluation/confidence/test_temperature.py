"""Temperature scaling against an independent minimisation, and its laws."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit, log_softmax

from headstart.evaluation.confidence.temperature import HIGHEST, LOWEST, calibration_score, fitted_temperature


def answers(classes=4, count=400, factor=3.0, seed=0):
    """Logits that are `factor` times too large for how often they are right, and labels drawn by the true ones."""
    rng = np.random.default_rng(seed)
    true = rng.normal(size=(count, classes)) * 1.5
    label = np.array([rng.choice(classes, p=np.exp(row)) for row in log_softmax(true, axis=1)])
    return torch.tensor(true * factor, dtype=torch.float32), torch.tensor(label)


def test_it_is_what_scipy_finds_by_minimising_the_likelihood():
    logits, label = answers()
    wide = logits.numpy().astype(np.float64)

    def nll(log_temperature):
        return -log_softmax(wide / np.exp(log_temperature), axis=1)[np.arange(len(label)), label].mean()

    fitted = fitted_temperature(logits, label)
    best = minimize_scalar(nll, bounds=(-3, 3), method="bounded", options={"xatol": 1e-10})
    assert fitted.temperature == pytest.approx(np.exp(best.x), rel=1e-5)
    assert fitted.after.nll == pytest.approx(best.fun, rel=1e-9)
    assert fitted.before.nll == pytest.approx(nll(0), rel=1e-9)
    assert fitted.temperature == pytest.approx(3, rel=0.15)  # what the logits were made with
    assert fitted.after.ece < fitted.before.ece


def test_of_several_labels_it_is_what_scipy_finds_too():
    rng = np.random.default_rng(1)
    true = rng.normal(size=(300, 3))
    label = (rng.random((300, 3)) < expit(true)).astype(np.float32)
    wide = true * 0.5

    def nll(log_temperature):
        scaled = wide / np.exp(log_temperature)
        return -(label * log_expit(scaled) + (1 - label) * log_expit(-scaled)).mean()

    fitted = fitted_temperature(torch.tensor(wide), torch.tensor(label))
    best = minimize_scalar(nll, bounds=(-3, 3), method="bounded", options={"xatol": 1e-10})
    assert fitted.temperature == pytest.approx(np.exp(best.x), rel=1e-5)
    assert fitted.temperature < 1  # not sure enough


def test_fitted_again_on_what_it_gave_it_is_one():
    logits, label = answers()
    first = fitted_temperature(logits, label)
    again = fitted_temperature(logits.double() / first.temperature, label)
    assert again.temperature == pytest.approx(1, rel=1e-6)


def test_no_temperature_changes_which_class_is_predicted():
    logits, _ = answers()
    for temperature in (LOWEST, 0.7, 4.0, HIGHEST):
        assert ((logits.double() / temperature).argmax(1) == logits.argmax(1)).all()


def test_where_every_answer_is_right_or_wrong_it_is_at_the_end_of_its_range():
    logits = torch.eye(3).repeat(4, 1) * 2
    label = torch.arange(3).repeat(4)
    assert fitted_temperature(logits, label).temperature == LOWEST
    wrong = fitted_temperature(logits, (label + 1) % 3)
    assert wrong.temperature == HIGHEST
    assert wrong.is_at_bound


def test_the_score_of_two_images_by_hand():
    logits = torch.tensor([[np.log(3), 0.0], [np.log(3), 0.0]], dtype=torch.float64)
    score = calibration_score(logits, torch.tensor([0, 1]), 1.0)
    assert score.nll == pytest.approx(-(np.log(0.75) + np.log(0.25)) / 2)
    assert score.ece == pytest.approx(0.25)  # says 0.75, is right in half


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(ValueError, match="got 0 images"):
        fitted_temperature(torch.empty(0, 2), torch.empty(0, dtype=torch.long))
    with pytest.raises(ValueError, match="finite"):
        fitted_temperature(torch.tensor([[np.nan, 1.0]]), torch.tensor([0]))

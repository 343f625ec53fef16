"""DeepJDOT's term is the optimum of a linear program, and its plan is no function of the weights."""

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment, linprog
from scipy.spatial.distance import cdist
from scipy.special import log_softmax

from headstart.adaptation import deepjdot
from headstart.adaptation.adaptation import Side
from headstart.adaptation.deepjdot import DeepJDOT, transport_plan
from headstart.types import UserError
from loss_cases import S, T

pytest.importorskip("ot")


def term(feature_cost=0.3, label_cost=0.7):
    return DeepJDOT(weight=1.0, ramp="constant", feature_cost=feature_cost, label_cost=label_cost)


def cost_by_hand(source, target, feature_cost=0.3, label_cost=0.7):
    distance = cdist(source.features.detach().numpy(), target.features.detach().numpy(), "sqeuclidean")
    mistake = -log_softmax(target.logits.detach().numpy(), axis=1)[:, source.label.numpy()].T
    return feature_cost * distance + label_cost * mistake


def test_the_term_is_the_optimum_of_the_linear_program(sides):
    source, target = sides
    found = term()(source=source, target=target, head=None, strength=0.5)
    cost = cost_by_hand(source, target)
    rows = np.kron(np.eye(S), np.ones(T))
    columns = np.kron(np.ones(S), np.eye(T))
    masses = np.concatenate([np.full(S, 1 / S), np.full(T, 1 / T)])
    want = linprog(cost.ravel(), A_eq=np.concatenate([rows, columns]), b_eq=masses, method="highs")
    assert found.item() == pytest.approx(0.5 * want.fun, rel=1e-5)


def test_between_equally_many_points_the_plan_is_an_assignment():
    cost = torch.rand(9, 9, generator=torch.Generator().manual_seed(0))
    rows, columns = linear_sum_assignment(cost.numpy())
    want = np.zeros((9, 9))
    want[rows, columns] = 1 / 9
    np.testing.assert_allclose(transport_plan(cost).numpy(), want, atol=1e-7)


def test_a_plan_moves_all_mass_once():
    plan = transport_plan(torch.rand(7, 4))
    torch.testing.assert_close(plan.sum(dim=1), torch.full((7,), 1 / 7))
    torch.testing.assert_close(plan.sum(dim=0), torch.full((4,), 1 / 4))


def test_equal_clouds_cost_nothing_in_whatever_order_they_come(sides):
    source, _ = sides
    order = torch.randperm(S)
    moved = Side(source.features[order], source.logits[order], None)
    found = term(label_cost=0.0)(source=source, target=moved, head=None, strength=1.0)
    assert found.item() == pytest.approx(0, abs=1e-5)


def test_the_gradient_is_that_of_the_cost_under_a_fixed_plan(sides):
    source, target = sides
    found = term(label_cost=0.0)(source=source, target=target, head=None, strength=1.0)
    (gradient,) = torch.autograd.grad(found, target.features)
    plan = transport_plan(torch.from_numpy(cost_by_hand(source, target, label_cost=0.0))).numpy()
    x, y = source.features.detach().numpy(), target.features.detach().numpy()
    want = 0.6 * (plan.sum(axis=0)[:, None] * y - plan.T @ x)
    np.testing.assert_allclose(gradient.numpy(), want, atol=1e-5)


def test_without_pot_there_is_one_message(monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(deepjdot, "import_module", absent)
    with pytest.raises(UserError, match=r"needs POT .*pip install 'headstart\[ot\]'"):
        term()

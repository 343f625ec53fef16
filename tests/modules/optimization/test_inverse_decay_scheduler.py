"""Rates of an inverse decay equal Ganin's formula."""

import functools

import pytest
import torch

from headstart.modules.optimization.inverse_decay_scheduler import InverseDecay
from headstart.modules.optimization.schedulers import scheduler_of


def rates(steps, *, length=100, **given):
    """The rates of groups with 0.001 and 0.01 in each step."""
    one, other = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([{"params": [one], "lr": 0.001}, {"params": [other], "lr": 0.01}])
    settings = {"total_iters": None, "alpha": 10.0, "power": 0.75} | given
    scheduler = scheduler_of(functools.partial(InverseDecay, **settings), optimizer, length=length)
    found = []
    for _ in range(steps):
        found.append(tuple(group["lr"] for group in optimizer.param_groups))
        optimizer.step()
        scheduler.step()
    return found, scheduler


def test_each_rate_is_ganins_with_the_share_of_the_run_that_is_done():
    found, _ = rates(120)
    for step, share in ((0, 0.0), (37, 0.37), (99, 0.99), (110, 1.0)):
        factor = (1 + 10 * share) ** -0.75
        assert found[step] == pytest.approx((0.001 * factor, 0.01 * factor), rel=1e-12)
    assert found[110][1] == pytest.approx(0.01 * 11**-0.75)


def test_a_length_of_its_own_is_in_steps():
    found, _ = rates(11, total_iters=10, alpha=1.0, power=1.0)
    assert found[10][1] == pytest.approx(0.005)


def test_a_schedule_that_was_saved_goes_on_as_if_it_had_not_been():
    whole, _ = rates(9)
    _, before = rates(4)
    _, after = rates(0)
    after.load_state_dict(before.state_dict())
    after.optimizer.load_state_dict(before.optimizer.state_dict())
    found = []
    for _ in range(4, 9):
        found.append(tuple(group["lr"] for group in after.optimizer.param_groups))
        after.optimizer.step()
        after.step()
    assert found == whole[4:]

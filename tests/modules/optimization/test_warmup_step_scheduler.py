"""Rates of a warm-up with steps equal a hand computation."""

import functools

import pytest
import torch

from headstart.modules.optimization.schedulers import scheduler_of
from headstart.modules.optimization.warmup_step_scheduler import WarmupStep
from headstart.types import UserError


def rates(steps, *, length=500, **given):
    """The rate of each step of groups with rates 0.003 and 0.03."""
    one, other = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([{"params": [one], "lr": 0.003}, {"params": [other], "lr": 0.03}])
    scheduler = scheduler_of(functools.partial(WarmupStep, **given), optimizer, length=length)
    found = []
    for _ in range(steps):
        found.append(tuple(group["lr"] for group in optimizer.param_groups))
        optimizer.step()
        scheduler.step()
    return found, scheduler


def test_the_rates_of_bits_short_schedule_are_those_computed_by_hand():
    found, _ = rates(500, warmup_steps=100, milestones=[200, 300, 400], gamma=0.1)
    by_hand = {
        0: 0.0, 1: 3e-5, 50: 1.5e-3, 99: 2.97e-3, 100: 3e-3, 199: 3e-3, 200: 3e-4, 299: 3e-4, 300: 3e-5, 399: 3e-5,
        400: 3e-6, 499: 3e-6,
    }  # fmt: skip
    for step, rate in by_hand.items():
        assert found[step] == pytest.approx((rate, 10 * rate), rel=1e-12), step


def test_shares_are_of_the_run_and_no_warmup_begins_at_the_full_rate():
    shares, _ = rates(20, length=20, warmup_steps=0.1, milestones=[0.5], gamma=0.1)
    assert shares == rates(20, warmup_steps=2, milestones=[10], gamma=0.1)[0]
    assert rates(1, warmup_steps=0, milestones=[10], gamma=0.1)[0] == [(0.003, 0.03)]


def test_a_schedule_that_was_saved_goes_on_as_if_it_had_not_been():
    whole, _ = rates(12, warmup_steps=4, milestones=[6, 9], gamma=0.5)
    _, before = rates(5, warmup_steps=4, milestones=[6, 9], gamma=0.5)
    _, after = rates(0, warmup_steps=4, milestones=[6, 9], gamma=0.5)
    after.load_state_dict(before.state_dict())
    after.optimizer.load_state_dict(before.optimizer.state_dict())
    found = []
    for _ in range(5, 12):
        found.append(tuple(group["lr"] for group in after.optimizer.param_groups))
        after.optimizer.step()
        after.step()
    assert found == whole[5:]


def test_milestones_that_fall_are_an_error():
    with pytest.raises(UserError, match="milestones must rise"):
        rates(1, warmup_steps=0, milestones=[9, 6], gamma=0.1)

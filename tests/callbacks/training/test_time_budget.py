"""Schedules of rates and phases end with the time that a run has, and with its epochs where these end first."""

import math

import pytest
import torch
from pytorch_lightning import Callback

from headstart.callbacks.training.time_budget import TimeBudget
from headstart.modules.optimization.schedulers import lightning_scheduler, run_length, scheduler_of
from headstart.types import UserError
from three_parts import RATE, STEPS, ThreeParts, fitted


class SlowClock:
    """A clock that goes on by a second with each batch."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


class Seconds(Callback):
    """Lets each batch take a second; notes the head's rate and what is trainable in each step."""

    def __init__(self, clock, stops_after=None):
        self.clock, self.stops_after = clock, stops_after
        self.rates, self.trainable, self.path = [], [], None

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.rates.append(trainer.optimizers[0].param_groups[-1]["lr"])
        self.trainable.append(
            sum(any(p.requires_grad for p in part.parameters()) for part in pl_module.stages.values())
        )
        self.clock.now += 1

    def on_train_batch_end(self, trainer, *_):
        if self.stops_after == trainer.global_step:
            trainer.save_checkpoint(self.path)
            raise KeyboardInterrupt


@pytest.fixture
def clock(monkeypatch):
    clock = SlowClock()
    monkeypatch.setattr("pytorch_lightning.callbacks.timer.time", clock)
    return clock


def cosine(groups, trainer):
    optimizer = torch.optim.SGD(groups)
    make = torch.optim.lr_scheduler.CosineAnnealingLR
    scheduler = scheduler_of(make, optimizer, length=run_length(trainer, "step"))
    settings = lightning_scheduler(scheduler, interval="step", monitor="val/loss", metrics=(), validates_every=1)
    return {"optimizer": optimizer, "lr_scheduler": settings}


def run(clock, seconds, *, epochs, checkpoint=None, **more):
    """A run of three phases, one part more with each of `epochs` epochs at least, of a second a batch."""
    watch = Seconds(clock, **more)
    budget = TimeBudget({"seconds": seconds})
    trainer = fitted(ThreeParts(cosine), budget, watch, epochs=epochs, checkpoint=checkpoint)
    return trainer, watch, budget


def at(progress):
    return RATE * (1 + math.cos(math.pi * progress)) / 2


def test_rates_and_phases_of_a_run_without_an_end_of_its_own_follow_the_time(clock):
    trainer, watch, budget = run(clock, 10, epochs=-1)
    assert trainer.global_step == 10
    assert budget.progress == 1
    assert watch.rates == pytest.approx([at(step / 10) for step in range(10)], abs=1e-3 * RATE)
    assert trainer.optimizers[0].param_groups[-1]["lr"] == pytest.approx(0, abs=1e-6)


def test_a_run_that_has_less_time_than_its_epochs_take_goes_through_its_schedule_faster(clock):
    """12 steps in 3 epochs, one part more with each epoch: a third of the run each. There is time for 6 steps."""
    trainer, watch, _ = run(clock, 6, epochs=3)
    assert trainer.global_step == 6
    assert watch.trainable == [1, 1, 2, 2, 3, 3]
    assert watch.rates == pytest.approx([at(step / 6) for step in range(6)], abs=1e-6)


def test_a_run_that_has_time_enough_is_the_one_without_a_budget(clock):
    trainer, watch, _ = run(clock, 1000, epochs=3)
    assert trainer.global_step == 3 * STEPS
    plain = Seconds(SlowClock())
    same = fitted(ThreeParts(cosine), plain, epochs=3)
    assert watch.rates == plain.rates
    assert watch.trainable == plain.trainable
    for one, other in zip(trainer.lightning_module.parameters(), same.lightning_module.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_resumed_run_has_the_time_that_was_left_and_the_rates_of_one_that_was_not_stopped(clock, tmp_path):
    whole, watch, _ = run(clock, 8, epochs=3)
    first = Seconds(clock, stops_after=4)
    first.path = tmp_path / "last.ckpt"
    with pytest.raises(BaseException):  # noqa: B017, PT011  Lightning makes of it what it likes
        fitted(ThreeParts(cosine), TimeBudget({"seconds": 8}), first, epochs=3)
    clock.now += 500  # while nobody trains
    resumed, second, budget = run(clock, 8, epochs=3, checkpoint=tmp_path / "last.ckpt")
    assert resumed.global_step == whole.global_step == 8
    assert first.rates + second.rates == pytest.approx(watch.rates)
    assert first.trainable + second.trainable == watch.trainable
    assert budget.progress == 1


@pytest.mark.parametrize("wrong", ["90", "1:30", "00:00:00:00", {"minuten": 3}, {"minutes": 0}])
def test_a_time_that_is_none_is_one_line(wrong):
    with pytest.raises(UserError, match=r"trainer.max_time must be a time as days:hours:minutes:seconds.* got "):
        TimeBudget(wrong)

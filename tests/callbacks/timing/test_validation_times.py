"""The summed learning rate is that of the optimizer's steps."""

import math

import pytest
import torch
from pytorch_lightning import Callback
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, OneCycleLR

from headstart import Explicit, Gradual
from headstart.callbacks.timing.validation_times import Timeline
from headstart.unfreeze.schedules.constant import Constant
from three_parts import RATE, STEPS, ThreeParts, fitted


class Sums(Timeline):
    """Of a trainer whose batches are no headstart.types.Batch."""

    def on_train_batch_end(self, *_):
        pass


class Watched(torch.optim.Optimizer):
    """Plain gradient descent that notes the rate of the head's bias in each step, 0 where it does not change."""

    def __init__(self, groups):
        super().__init__(groups, {"lr": RATE})
        self.seen = []
        (self.bias,) = self.param_groups[-1]["params"]

    @torch.no_grad()
    def step(self, closure):
        with torch.enable_grad():
            value = closure()
        self.seen.append(0.0)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.add_(parameter.grad, alpha=-group["lr"])
                    self.seen[-1] = group["lr"] if parameter is self.bias else self.seen[-1]
        return value


def constant(optimizer, _):
    return ConstantLR(optimizer, factor=1.0, total_iters=1)


def cosine(optimizer, trainer):
    return CosineAnnealingLR(optimizer, T_max=trainer.estimated_stepping_batches)


def one_cycle(optimizer, trainer):
    rates = [group["lr"] for group in optimizer.param_groups]
    return OneCycleLR(optimizer, max_lr=rates, total_steps=trainer.estimated_stepping_batches, cycle_momentum=False)


def run(scheduler=constant, *more, **settings):
    """The timeline, and the rates that the optimizer has seen."""
    made = []

    def configure(groups, trainer):
        made.append(Watched(groups))
        return {
            "optimizer": made[0], "lr_scheduler": {"scheduler": scheduler(made[0], trainer), "interval": "step"},
        }  # fmt: skip

    sums = Sums()
    fitted(ThreeParts(configure), sums, *more, **{"schedule": Constant()} | settings)
    return sums, made[0].seen


def after_each_epoch(rates, steps=STEPS):
    return [math.fsum(rates[: steps * epoch]) for epoch in range(1, len(rates) // steps + 1)]


def told(sums):
    return [point["learning_rate_sum"] for point in sums.evaluations]


def test_a_constant_rate_gives_the_rate_times_the_steps():
    sums, _ = run()
    assert told(sums) == pytest.approx([RATE * STEPS * epoch for epoch in (1, 2, 3)])
    assert sums.peak_learning_rate == RATE


def test_half_a_cosine_gives_its_sum_by_hand():
    sums, _ = run(cosine)
    rates = [RATE / 2 * (1 + math.cos(math.pi * step / 12)) for step in range(12)]
    assert told(sums) == pytest.approx(after_each_epoch(rates))
    assert sums.peak_learning_rate == pytest.approx(RATE)


def test_where_gradients_are_accumulated_optimizer_steps_count_not_batches():
    sums, seen = run(cosine, accumulate_grad_batches=2)
    rates = [RATE / 2 * (1 + math.cos(math.pi * step / 6)) for step in range(6)]
    assert told(sums) == pytest.approx(after_each_epoch(rates, 2))
    assert len(seen) == 6


PHASES = Explicit(
    phases=[
        {"trainable": ["head"], "epochs": 1, "lr": 0.1},
        {"trainable": ["first"], "epochs": 1, "lr": {"first": 0.01}},  # the head is closed
        {"trainable": ["head", "second"], "epochs": 1, "warmup_steps": 3},
        {"trainable": "all", "lr": 2.0},
    ]
)


@pytest.mark.parametrize("scheduler", [constant, one_cycle])
@pytest.mark.parametrize("schedule", [Gradual(first_epoch=1, every_epochs=1, warmup_steps=3), PHASES])
def test_the_sum_is_of_what_each_step_of_the_optimizer_saw_whatever_phases_and_warm_up_make_of_the_rate(
    scheduler, schedule
):
    sums, seen = run(scheduler, schedule=schedule, epochs=5)
    assert len(seen) == 5 * STEPS
    assert told(sums) == pytest.approx(after_each_epoch(seen))
    assert sums.peak_learning_rate == pytest.approx(max(seen))
    if schedule is PHASES:
        assert seen[STEPS : 2 * STEPS] == [0.0] * STEPS
        if scheduler is constant:
            rates = [0.1] * 4 + [0.0] * 4 + [RATE / 3, RATE * 2 / 3, RATE, RATE] + [2.0] * 8
            assert told(sums) == pytest.approx(after_each_epoch(rates))


class Saver(Callback):
    """Saves within the second epoch."""

    def __init__(self, path):
        self.path = path

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if trainer.global_step == STEPS + 2:
            trainer.save_checkpoint(self.path)


@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch")
def test_a_resumed_run_goes_on_adding(tmp_path):
    path = tmp_path / "it.ckpt"
    whole, _ = run(one_cycle, Saver(path))
    again, seen = run(one_cycle, checkpoint=path, max_steps=3 * STEPS)  # a plain loader begins its epoch anew
    assert len(seen) == 3 * STEPS - (STEPS + 2)
    assert again.learning_rate_sum == whole.learning_rate_sum
    assert again.peak_learning_rate == whole.peak_learning_rate > max(seen)


def test_a_checkpoint_of_before_makes_the_sum_unknown_not_wrong():
    old = Sums()
    old.load_state_dict({"examples": 3, "evaluations": [], "wall_s": 1.0})
    assert math.isnan(old.learning_rate_sum)
    assert math.isnan(old.peak_learning_rate)

"""Rates of every torch scheduler under a schedule of three phases, and how one is refused."""

import functools
import inspect
import math

import pytest
import pytorch_lightning as pl
import torch
from torch.optim import lr_scheduler, swa_utils
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiplicativeLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)
from torch.optim.swa_utils import SWALR

from headstart.modules.optimization.schedulers import scheduler_of
from headstart.types import UserError
from three_parts import RATE, STEPS, ThreeParts, fitted

N = 3 * STEPS  # optimizer steps of the run


def hyperbola(step, *, slope):
    return 1 / (1 + slope * step)


def half_cosine(share):
    return (1 + math.cos(math.pi * share)) / 2


def one_cycle(n):
    """A quarter of 12 steps up from a 25th: the top is step 2; down to a 10,000th of the 25th at step 11."""
    low, end = 1 / 25, 1 / 25 / 1e4
    return low + (1 - low) * (1 - half_cosine(n / 2)) if n <= 2 else end + (1 - end) * half_cosine((n - 2) / 9)


# class -> (what is given, the rate at step n over that before the scheduler)
EXPECTED = {
    StepLR: ({"step_size": 5, "gamma": 0.5}, lambda n: 0.5 ** (n // 5)),
    MultiStepLR: ({"milestones": [0.25, 8]}, lambda n: 0.1 ** ((n >= 3) + (n >= 8))),
    ConstantLR: ({"factor": 0.5, "total_iters": 4}, lambda n: 0.5 if n < 4 else 1.0),
    LinearLR: ({"start_factor": 0.1, "total_iters": None}, lambda n: 0.1 + 0.9 * n / N),
    ExponentialLR: ({"gamma": 0.8}, lambda n: 0.8**n),
    PolynomialLR: ({"total_iters": None, "power": 2.0}, lambda n: (1 - n / N) ** 2),
    CosineAnnealingLR: ({"T_max": None}, lambda n: half_cosine(n / N)),
    CosineAnnealingWarmRestarts: ({"T_0": 0.5}, lambda n: half_cosine((n % 6) / 6)),
    LambdaLR: ({"lr_lambda": functools.partial(hyperbola, slope=0.5)}, lambda n: 1 / (1 + n / 2)),
    MultiplicativeLR: ({"lr_lambda": functools.partial(hyperbola, slope=1.0)}, lambda n: 1 / math.factorial(n + 1)),
    CyclicLR: ({"step_size_up": 0.25}, lambda n: 0.1 + 0.9 * (1 - abs(n % 6 - 3) / 3)),
    OneCycleLR: ({"max_lr": None, "pct_start": 0.25}, one_cycle),
    SWALR: (
        {"swa_lr": RATE / 10, "anneal_epochs": 0.5, "anneal_strategy": "linear"},
        lambda n: 1 - 0.9 * min(1, n / 6),
    ),
    ReduceLROnPlateau: ({"patience": 0, "factor": 0.5}, lambda n: 1.0 if n < 8 else 0.5),  # worse in the second epoch
    SequentialLR: (
        {
            "schedulers": [
                functools.partial(LinearLR, start_factor=0.1, total_iters=None),
                functools.partial(CosineAnnealingLR, T_max=None),
            ],
            "milestones": [0.25],
        },
        lambda n: 0.1 + 0.9 * n / 3 if n < 3 else half_cosine((n - 3) / 9),
    ),
    ChainedScheduler: (
        {
            "schedulers": [
                functools.partial(ConstantLR, factor=0.5, total_iters=4),
                functools.partial(ExponentialLR, gamma=0.9),
            ]
        },
        lambda n: (0.5 if n < 4 else 1.0) * 0.9**n,
    ),
}
KINDS = pytest.mark.parametrize("kind", EXPECTED, ids=lambda kind: kind.__name__)
SHARES = {"first": 0.25, "second": 0.5, "head": 1.0}  # of the head's rate


class Seen(pl.Callback):
    """The rates before each step: the scheduler's, and those that the step takes."""

    def __init__(self, *, save_to=None):
        self.scheduled, self.taken, self.save_to = [], [], save_to

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        (optimizer,) = trainer.optimizers
        self.scheduled.append({group["name"]: group["lr"] for group in optimizer.param_groups})
        self.taken.append(trainer.callbacks[0].rates(trainer.global_step))

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if self.save_to is not None and trainer.global_step == 6:
            trainer.save_checkpoint(self.save_to)


def configured(kind, given):
    def configure(groups, trainer):
        optimizer = torch.optim.SGD(groups, momentum=0.9, weight_decay=0.01)
        length = trainer.estimated_stepping_batches
        made = scheduler_of(functools.partial(kind, **given), optimizer, length=length)
        waits = {"monitor": "val/loss", "interval": "epoch"} if kind is ReduceLROnPlateau else {"interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": made, **waits}}

    return ThreeParts(configure, figures=[1.0, 1.5, 1.5])


def test_the_list_is_that_of_torch():
    """A scheduler that a later torch adds is one to be computed here by hand."""
    found = {
        one
        for module in (lr_scheduler, swa_utils)
        for name, one in vars(module).items()
        if inspect.isclass(one) and issubclass(one, LRScheduler) and not name.startswith("_") and one is not LRScheduler
    }
    assert found == set(EXPECTED)


@KINDS
def test_the_rates_of_every_part_are_those_computed_by_hand_whatever_is_open(kind):
    given, expected = EXPECTED[kind]
    seen = Seen()
    fitted(configured(kind, given), seen)
    assert len(seen.scheduled) == N
    for step, (scheduled, taken) in enumerate(zip(seen.scheduled, seen.taken, strict=True)):
        opened = ["head", "second", "first"][: 1 + step // STEPS]
        for part, share in SHARES.items():
            want = pytest.approx(RATE * share * expected(step), rel=1e-9, abs=1e-12)
            assert scheduled[part] == scheduled[f"{part}/no_decay"] == want, (step, part)
            assert taken[part] == (want if part in opened else 0), (step, part)


# ReduceLROnPlateau: Lightning itself leaves out its step there; best_and_last.py and tests/resume see to it
@pytest.mark.parametrize(
    "kind", [kind for kind in EXPECTED if kind is not ReduceLROnPlateau], ids=lambda kind: kind.__name__
)
def test_a_run_goes_on_from_a_checkpoint_in_the_middle_of_an_epoch_at_the_same_rates(kind, tmp_path):
    given, _ = EXPECTED[kind]
    whole, rest = Seen(save_to=tmp_path / "middle.ckpt"), Seen()
    fitted(configured(kind, given), whole)
    (state,) = torch.load(tmp_path / "middle.ckpt", weights_only=False)["lr_schedulers"]
    if any(inspect.isroutine(value) for value in state.values()):
        pytest.skip("this torch puts a function into the state; callbacks/checkpoints/best_and_last.py leaves it out")
    torch.load(tmp_path / "middle.ckpt", weights_only=True)  # nothing in it that could be code
    fitted(configured(kind, given), rest, checkpoint=tmp_path / "middle.ckpt")
    assert rest.scheduled[-STEPS:] == whole.scheduled[-STEPS:]


def test_momentum_cycles_against_the_rate_for_all_groups():
    optimizer = sgd()
    made = scheduler_of(functools.partial(OneCycleLR, pct_start=0.5), optimizer, length=8)
    for _ in range(3):  # the top is step 0.5 x 8 - 1
        optimizer.step()
        made.step()
    assert [group["momentum"] for group in optimizer.param_groups] == pytest.approx([0.85] * 3)


# ---------------------------------------------------------------------- rates of groups


def sgd(**more):
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in (0.2, 0.4, 0.8)]
    return torch.optim.SGD(groups, momentum=0.9, **more)


@pytest.mark.parametrize(
    ("given", "want"),
    [(None, [0.2, 0.4, 0.8]), (0.08, [0.02, 0.04, 0.08]), ([0.1, 0.1, 0.3], [0.1, 0.1, 0.3])],
)
def test_a_highest_rate_is_the_heads_of_which_each_group_gets_its_share(given, want):
    scheduler_of(functools.partial(OneCycleLR, max_lr=given), optimizer := sgd(), length=10)
    assert [group["max_lr"] for group in optimizer.param_groups] == pytest.approx(want)
    cyclic = scheduler_of(functools.partial(CyclicLR, max_lr=given, base_lr=None), sgd(), length=10)
    assert cyclic.max_lrs == pytest.approx(want)  # type: ignore[attr-defined]
    assert cyclic.base_lrs == pytest.approx([rate / 10 for rate in want])


def test_a_cycle_whose_length_is_left_to_the_run_is_as_long_as_the_run():
    made = scheduler_of(functools.partial(CyclicLR, step_size_up=None), sgd(), length=10)
    assert (made.total_size, made.step_ratio) == (10, 0.5)  # type: ignore[attr-defined]


def test_a_plateaus_lowest_rate_keeps_the_ratios_too():
    made = scheduler_of(functools.partial(ReduceLROnPlateau, min_lr=0.08), sgd(), length=10)
    assert made.min_lrs == pytest.approx([0.02, 0.04, 0.08])  # type: ignore[attr-defined]


def test_a_cycle_first_of_several_leaves_the_others_the_full_rate():
    cycle = functools.partial(CyclicLR, step_size_up=1, cycle_momentum=False)
    parts = [cycle, functools.partial(ConstantLR, factor=1.0)]
    optimizer = sgd()
    made = scheduler_of(functools.partial(SequentialLR, schedulers=parts, milestones=[2]), optimizer, length=6)
    heads = []
    for _ in range(5):
        heads.append(optimizer.param_groups[-1]["lr"])
        optimizer.step()
        made.step()
    assert heads == pytest.approx([0.08, 0.8, 0.8, 0.8, 0.8])


# ---------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("kind", "given", "length", "said"),
    [
        (OneCycleLR, {"total_steps": 7}, 10, "at least as long as the run's 10 steps, got 7; try .*total_steps=null"),
        (OneCycleLR, {"epochs": 2, "steps_per_epoch": 4}, 10, "10 steps, got 8"),
        (OneCycleLR, {"pct_start": 0.25}, 4, r"total_steps=4\) cannot be made"),  # its top is step 0
        (CosineAnnealingLR, {}, math.inf, "scheduler.T_max is to be the run's length .* set trainer.max_epochs"),
        (OneCycleLR, {"max_lr": [0.1, 0.1]}, 10, "one for each of the 3 groups"),
        (
            SequentialLR,
            {"schedulers": [functools.partial(OneCycleLR)], "milestones": []},
            9,
            "cannot be one of several",
        ),
        (SequentialLR, {"schedulers": [functools.partial(LinearLR)] * 3, "milestones": [5, 2]}, 9, "2 rising places"),
        (ChainedScheduler, {"schedulers": [functools.partial(ReduceLROnPlateau)]}, 9, "does not support"),
        (ChainedScheduler, {"schedulers": [{"gamma": 0.1}]}, 9, r"schedulers\[0\] must be a mapping with _target_"),
        (StepLR, {"gama": 0.1}, 9, "it takes step_size, gamma"),
    ],
)
def test_what_does_not_fit_is_said_before_training(kind, given, length, said):
    with pytest.raises(UserError, match=said):
        scheduler_of(functools.partial(kind, **given), sgd(), length=length)


def test_a_cycle_of_momentum_needs_an_optimizer_with_momentum():
    optimizer = torch.optim.Adagrad([torch.nn.Parameter(torch.zeros(1))])
    with pytest.raises(UserError, match="momentum"):
        scheduler_of(OneCycleLR, optimizer, length=9)

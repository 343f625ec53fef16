"""Averaged weights equal a hand computation, begin when their part becomes trainable, and are what is measured."""

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from composed import composed, trained
from headstart.callbacks.training.ema import EMA
from headstart.callbacks.training.replica_check import ReplicaCheck
from headstart.runs.model_parts.assembly import assembled
from headstart.types import UserError
from headstart.unfreeze.schedules.explicit_phases import Explicit
from headstart.unfreeze.schedules.gradual import GradualByPlateau
from headstart.unfreeze.schedules.schedule_phases import Plateau
from three_parts import STEPS, ThreeParts, fitted, part, state

CHECKPOINTS = ("best.ckpt", "last.ckpt")


def model(figures=()):
    return ThreeParts(lambda groups, _: torch.optim.SGD(groups, momentum=0.9, weight_decay=0.01), figures=figures)


class Trail(pl.Callback):
    """The weights after each optimizer step, and those that each validation saw."""

    def __init__(self):
        self.steps, self.validated = [], []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if trainer.global_step > len(self.steps):
            self.steps.append(state(module))

    def on_validation_batch_start(self, trainer, module, batch, batch_idx, dataloader_idx=0):
        self.validated.append(state(module))


def decay_of(count, *, decay, warmup):
    """Of the n-th update: timm's ModelEmaV3 with gamma 1 and power 2/3; the first one is a copy."""
    if count == 1:
        return 0.0
    return min(decay, 1 - count ** (-2 / 3)) if warmup else decay


def by_hand(values, **settings):
    average = values[0].clone()
    for count, value in enumerate(values, start=1):
        now = decay_of(count, **settings)
        average = now * average + (1 - now) * value
    return average


@pytest.mark.parametrize("settings", [{"decay": 0.9, "warmup": False}, {"decay": 0.6, "warmup": True}])
def test_validation_sees_averages_that_begin_when_their_part_opens_and_what_is_closed_to_the_bit(settings):
    trail, module = Trail(), model()
    start = state(module)
    fitted(module, EMA(**settings), trail)
    opens = {"head": 0, "second": STEPS, "first": 2 * STEPS}
    for epoch, seen in enumerate(trail.validated):
        done = (epoch + 1) * STEPS
        for name, tensor in seen.items():
            if opens[part(name)] >= done:
                assert torch.equal(tensor, start[name]), name
            elif tensor.is_floating_point():  # weights and running statistics
                want = by_hand([step[name] for step in trail.steps[opens[part(name)] : done]], **settings)
                torch.testing.assert_close(tensor, want, rtol=1e-5, atol=1e-6)
                assert not torch.equal(tensor, trail.steps[done - 1][name]), name
            else:  # how many batches BatchNorm has seen
                assert torch.equal(tensor, trail.steps[done - 1][name])


def test_training_goes_on_with_the_weights_that_it_had_as_if_nobody_averaged():
    with_average, without = Trail(), Trail()
    fitted(model(), EMA(decay=0.5), with_average)
    fitted(model(), without)
    for one, other in zip(with_average.steps, without.steps, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_an_accumulated_step_counts_once():
    trail, module = Trail(), model()
    fitted(module, EMA(decay=0.9, warmup=False), trail, epochs=1, accumulate_grad_batches=2)
    assert len(trail.steps) == STEPS / 2
    want = by_hand([step["head.weight"] for step in trail.steps], decay=0.9, warmup=False)
    torch.testing.assert_close(trail.validated[0]["head.weight"], want, rtol=1e-6, atol=1e-7)


def test_a_part_that_closes_is_itself_again_and_begins_anew_when_it_opens():
    phases = [{"trainable": "all", "epochs": 1}, {"trainable": ["head"], "epochs": 1}, {"trainable": ["first", "head"]}]
    trail = Trail()
    fitted(model(), EMA(decay=0.9, warmup=False), trail, schedule=Explicit(phases=phases))
    name = "first.0.weight"
    assert torch.equal(trail.validated[1][name], trail.steps[STEPS - 1][name])
    want = by_hand([step[name] for step in trail.steps[2 * STEPS :]], decay=0.9, warmup=False)
    torch.testing.assert_close(trail.validated[2][name], want, rtol=1e-6, atol=1e-7)


def test_after_fit_the_model_has_the_averages():
    trail, module, average = Trail(), model(), EMA(decay=0.9)
    fitted(module, average, trail)
    assert all(torch.equal(tensor, trail.validated[-1][name]) for name, tensor in state(module).items())
    assert not torch.equal(module.head.weight, trail.steps[-1]["head.weight"])


class Saver(pl.Callback):
    """Saves in the middle of an epoch, after it, or while it is validated."""

    def __init__(self, path, when):
        self.path, self.when = path, when

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if self.when == "middle" and trainer.global_step == STEPS + 2:
            trainer.save_checkpoint(self.path)

    def on_validation_end(self, trainer, module):
        if self.when == "validation" and trainer.global_step == 2 * STEPS:
            trainer.save_checkpoint(self.path)

    def on_train_epoch_end(self, trainer, module):
        if self.when == "end" and trainer.global_step == 2 * STEPS:
            trainer.save_checkpoint(self.path)


@pytest.mark.parametrize("when", ["middle", "validation", "end"])
@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch")
def test_a_run_goes_on_from_any_checkpoint_to_the_same_weights_and_averages(when, tmp_path):
    path = tmp_path / "it.ckpt"
    whole, rest = Trail(), Trail()
    before, after = EMA(decay=0.9), EMA(decay=0.9)
    fitted(model(), before, whole, Saver(path, when), repeated=True)
    kept = torch.load(path, weights_only=True)
    weights = whole.validated[1] if when == "validation" else whole.steps[STEPS + 1 if when == "middle" else 7]
    assert all(torch.equal(tensor, weights[name]) for name, tensor in kept["state_dict"].items())
    fitted(model(), after, rest, checkpoint=path, repeated=True)  # a plain loader begins its epoch anew
    assert all(torch.equal(whole.steps[-1][name], tensor) for name, tensor in rest.steps[-1].items())
    assert all(torch.equal(whole.validated[-1][name], tensor) for name, tensor in rest.validated[-1].items())
    assert before.averages.keys() == after.averages.keys()


def test_averages_begin_anew_at_the_weights_that_a_phase_returns_to():
    """Of the head's phase the best is epoch 0, so that second opens in epoch 2 with the weights measured there."""
    until = Plateau(monitor="val/loss", mode="min", patience=1, return_to_best=True)
    trail = Trail()
    average = EMA(decay=0.9, warmup=False)
    fitted(model(figures=[0.1, 0.5, 0.5]), average, trail, schedule=GradualByPlateau(until=until), log_every_n_steps=1)
    steps = [step["head.weight"] for step in trail.steps[2 * STEPS :]]
    torch.testing.assert_close(
        trail.validated[2]["head.weight"], by_hand(steps, decay=0.9, warmup=False), rtol=1e-6, atol=1e-7
    )


def test_the_order_among_the_callbacks_does_not_matter():
    first, last = Trail(), Trail()
    fitted(model(), EMA(decay=0.9), first, ReplicaCheck())
    fitted(model(), ReplicaCheck(), last, EMA(decay=0.9))
    for one, other in zip(first.validated, last.validated, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_half_precision_weights_have_a_float32_average():
    average = EMA(decay=0.999, warmup=False)
    module = nn.Linear(1, 1, bias=False).bfloat16()
    for value in (1.0, *[2.0] * 100):
        with torch.no_grad():
            module.weight.fill_(value)
        average._update({"weight": module.weight})
    assert float(average.averages["weight"].detach()) == pytest.approx(2 - 0.999**100, rel=1e-4)


@pytest.mark.parametrize("decay", [1.0, -0.1])
def test_a_decay_that_averages_nothing_is_refused(decay):
    with pytest.raises(UserError, match=r"at least 0 and below 1, got .*; try 0.999"):
        EMA(decay=decay)


@pytest.mark.parametrize("precision", [pytest.param("32-true", marks=pytest.mark.slow), "bf16-mixed"])
def test_the_best_checkpoint_of_a_run_is_what_was_measured_and_the_last_one_what_was_trained(
    precision, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    result = trained(
        "callbacks=ema", "mode=scratch", "trainer.max_epochs=6", "callbacks.checkpoint.monitor=val/loss",
        "callbacks.checkpoint.mode=min", f"trainer.precision={precision}", folder=tmp_path / "run",
    )  # fmt: skip
    assert result["best"]["step"] > 0
    best, last = (torch.load(tmp_path / "run/checkpoints" / name, weights_only=True) for name in CHECKPOINTS)
    parts = assembled(composed("mode=scratch"))
    parts.module.load_state_dict(best["state_dict"])
    parts.data.setup("fit")
    trainer = pl.Trainer(
        accelerator="cpu", precision=precision, logger=False, enable_progress_bar=False, enable_model_summary=False
    )
    (figures,) = trainer.validate(parts.module, parts.data.plain_dataloader("val"), verbose=False)
    assert figures["val/loss"] == pytest.approx(result["best"]["val/loss"], rel=1e-5)
    kept = next(value for key, value in last["callbacks"].items() if key.startswith("EMA"))
    for name, average in kept["averages"].items():
        assert not torch.equal(average, last["state_dict"][name]), name
        if result["best"]["step"] == result["steps"]:
            assert torch.equal(average, best["state_dict"][name])

"""A run ends at the first number that is not finite: any number, at any time, on any rank."""

import json
import math

import pytest
import torch
from pytorch_lightning import Callback

import diverging
from diverging import EPOCH, Line, fitted
from headstart.callbacks.training.divergence import LOOK, SCALER, DivergenceSign, divergence_message
from two_processes import run_both


class SaveAt(Callback):
    def __init__(self, path, step):
        self.path, self.step = path, step

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)


class Spoil(Callback):
    """Makes a weight infinite with the last step."""

    def on_train_end(self, trainer, module):
        with torch.no_grad():
            module.layer.bias.fill_(math.inf)


class Steps(Callback):
    """The optimizer steps done after each batch, and the weights then."""

    def __init__(self):
        self.done, self.weights = [], []

    def on_train_batch_end(self, trainer, module, *_):
        self.done.append(trainer.global_step)
        self.weights.append(module.layer.weight.detach().clone())


def test_a_sound_run_is_finished(tmp_path):
    divergence = fitted(tmp_path, Line())
    assert (divergence.first, divergence.state) == (None, "finished")


@pytest.mark.parametrize(
    ("bad", "at", "first", "steps"),
    [
        (math.nan, {"train_at": 0}, ("the training loss", 1, 1, ("those of batch 1 of the epoch",), "nan"), 1),
        (math.inf, {"train_at": EPOCH - 1}, ("the training loss", 1, 4, ("those of batch 4 of the epoch",), "infinite"),
         4),  # an epoch's last step
        (-math.inf, {"train_at": EPOCH}, ("the training loss", 2, 5, ("those of batch 1 of the epoch",), "infinite"),
         5),
        (math.nan, {"val_at": (EPOCH, 0)}, ("the val loss", 1, 4, (), "nan or infinite"), 4),  # one batch of two
        (-math.inf, {"val_at": (3 * EPOCH, 1)}, ("the val loss", 3, 12, (), "nan or infinite"), 12),
    ],
)  # fmt: skip
def test_the_first_loss_that_is_not_finite_ends_the_run_though_all_after_it_would_be(tmp_path, bad, at, first, steps):
    seen = Steps()
    divergence = fitted(tmp_path, Line(bad=bad, **at), seen)
    assert divergence.state == "diverged"
    assert tuple(divergence.first) == first
    assert seen.done == [*range(1, steps + 1)]


def test_it_ends_whatever_the_least_length_of_the_run(tmp_path):
    seen = Steps()
    fitted(tmp_path, Line(train_at=1), seen, min_epochs=3, min_steps=12)
    assert seen.done == [1, 2]


@pytest.mark.parametrize("accumulated", [2, 4])
def test_a_batch_whose_step_is_still_to_come_is_of_that_step(tmp_path, accumulated):
    divergence = fitted(tmp_path, Line(train_at=1), accumulate_grad_batches=accumulated)
    step, batch = (2, 3) if accumulated == 2 else (2, 1)
    assert divergence.first[2:4] == (step, (f"those of batch {batch} of the epoch",))


def test_losses_that_wait_on_a_device_are_told_apart_when_they_are_read(tmp_path):
    """As on a GPU: nothing is read before the epoch ends, and the batch is found all the same."""

    class Lazy(Callback):
        def setup(self, trainer, module, stage):
            (own,) = (one for one in trainer.callbacks if hasattr(one, "_every"))
            own._every = LOOK

    seen = Steps()
    divergence = fitted(tmp_path, Line(train_at=1), Lazy(), seen)
    assert divergence.first[:3] == ("the training loss", 1, 2)
    assert seen.done == [1, 2, 3, 4]


def test_a_weight_that_is_not_finite_at_the_end_is_seen_where_no_loss_was_of_it(tmp_path):
    assert fitted(tmp_path, Line(), Spoil()).first[:2] == ("a weight", 3)


def test_the_loss_that_others_get_is_not_changed(tmp_path):
    class Losses(Callback):
        def __init__(self):
            self.all = []

        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            self.all.append(outputs["loss"])

    losses = Losses()
    fitted(tmp_path, Line(), losses)
    assert len({float(loss) for loss in losses.all}) == 3 * EPOCH
    assert losses.all == sorted(losses.all, reverse=True)


class Overflowing(Line):
    """Its gradients are nan at these optimizer steps, the first one is 0; its losses too."""

    def __init__(self, *steps):
        super().__init__()
        self.steps = steps

    def training_step(self, batch, number):
        return super().training_step(batch, number) * (math.nan if self.global_step in self.steps else 1.0)


def test_by_option_a_step_whose_gradients_are_not_finite_is_left_out(tmp_path):
    seen = Steps()
    divergence = fitted(tmp_path, Overflowing(2, 3, 6), seen, skipped_steps=2)
    assert divergence.state == "finished"
    assert seen.done[-1] == 3 * EPOCH
    still = [a for a in range(1, len(seen.weights)) if torch.equal(seen.weights[a], seen.weights[a - 1])]
    assert still == [2, 3, 6]
    assert all(weight.isfinite().all() for weight in seen.weights)


def test_more_steps_in_a_row_than_the_option_allows_end_the_run(tmp_path):
    seen = Steps()
    divergence = fitted(tmp_path, Overflowing(2, 3, 4), seen, skipped_steps=2)
    assert divergence.first[:3] == ("the gradients", 2, 5)
    assert seen.done[-1] == 5
    assert seen.weights[-1].isfinite().all()


class Scaled(Callback):
    """A precision plugin's scaler that leaves out these optimizer steps, the first one is 0."""

    def __init__(self, *steps):
        self.steps = steps

    def setup(self, trainer, module, stage):
        own, scaler = trainer.precision_plugin, torch.amp.GradScaler("cpu", init_scale=4.0)
        own.scaler = scaler

        def optimizer_step(optimizer, model, closure, **_):
            closure()
            if trainer.global_step in self.steps:
                module.layer.weight.grad.fill_(math.inf)
            scaler.step(optimizer)
            scaler.update()

        own.optimizer_step = optimizer_step
        own.pre_backward = lambda tensor, _: scaler.scale(tensor)


def test_the_scaler_of_16_mixed_may_leave_out_some_steps_but_not_go_on_so(tmp_path):
    assert fitted(tmp_path, Line(), Scaled(0, 1, 2, 3, 8)).state == "finished"
    divergence = fitted(tmp_path, Line(), Scaled(*range(5, 99)), max_epochs=20)
    assert divergence.first[:3] == ("the gradients", 7, 5 + SCALER + 1)


@pytest.mark.parametrize("step", [1, EPOCH + 2])
@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch")
def test_a_run_resumed_after_the_sign_ends_at_once_with_it(tmp_path, step):
    path = tmp_path / "it.ckpt"
    whole = fitted(tmp_path, Line(train_at=step - 1), SaveAt(path, step))
    seen = Steps()
    again = fitted(tmp_path, Line(), seen, checkpoint=path)
    assert again.first == whole.first
    assert again.state == "diverged"
    assert seen.done == []


@pytest.mark.slow
def test_a_loss_on_any_rank_ends_all_of_them_at_once(tmp_path):
    run_both(diverging.__file__, tmp_path, seconds=300)
    (one, other) = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert one == other
    assert one["first"][:3] == ["the training loss", 2, EPOCH + 1]
    assert one["steps"] == 2 * EPOCH  # they look when an epoch ends


def test_the_message_has_the_place_the_images_and_what_to_try():
    first = DivergenceSign("the training loss", 2, 7, tuple(f"{n}.png" for n in range(10)), "nan")
    assert divergence_message(first._asdict(), "optimizer.lr") == (
        "training diverged: the training loss was nan for the first time in epoch 2 at step 7, on the images 0.png, "
        "1.png, 2.png, 3.png, 4.png, 5.png, 6.png, 7.png and 2 more; the run ended there and keeps its checkpoints of "
        "before; try a smaller optimizer.lr, trainer.gradient_clip_val=1 or scheduler=warmup_cosine"
    )
    assert "the val loss was infinite for the first time before training; the run" in divergence_message(
        DivergenceSign("the val loss", 0, 0, (), "infinite")._asdict(), "optimizer.lr"
    )
    assert "in epoch 3, after step 12; the run" in divergence_message(
        DivergenceSign("the val loss", 3, 12, (), "nan")._asdict(), "x"
    )
    assert "training diverged: a loss was nan or infinite for the first time" in divergence_message({}, "optimizer.lr")

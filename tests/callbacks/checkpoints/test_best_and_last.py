"""Best and last checkpoints of a run: when they are written, and which evaluation is best."""

from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader

from headstart.callbacks.checkpoints.best_and_last import BestAndLast
from headstart.types import UserError
from one_line_model import Line


class StandIn:
    """As much of a trainer as the callback asks for."""

    def __init__(self):
        self.state = SimpleNamespace(fn="fit")
        self.is_global_zero, self.strategy = True, None
        self.current_epoch = self.global_step = 0
        self.callback_metrics, self.callbacks = {}, []

    def save_checkpoint(self, path):
        torch.save({"step": self.global_step}, path)


def best_step(tmp_path, values, mode="max", losses=None):
    trainer, callback = (
        StandIn(),
        BestAndLast(folder=tmp_path, monitor="val/x", mode=mode, every_steps=None, min_interval_s=0),
    )
    for step, value in enumerate(values):
        trainer.global_step = step
        trainer.callback_metrics = {"val/x": torch.tensor(value), "train/loss": torch.tensor(0.0)}
        if losses is not None:
            trainer.callback_metrics["val/loss"] = torch.tensor(losses[step])
        callback.on_validation_end(trainer, None)
    assert callback.best["step"] == torch.load(tmp_path / "best.ckpt")["step"]
    assert [path.name for path in tmp_path.iterdir()] == ["best.ckpt"]
    return callback.best["step"]


@pytest.mark.parametrize(
    ("values", "mode", "step"),
    [
        ([0.9, 0.5, 0.6], "max", 0),  # the weights before the first step count
        ([0.1, 0.8, 0.8, 0.2], "max", 2),  # the last of equals, where no loss tells them apart
        ([2.0, 1.0, 3.0], "min", 1),
        ([float("nan"), 0.5, 0.6, float("nan")], "max", 2),  # whatever is measured is better than nan
        ([float("nan"), 0.5, 0.6], "min", 1),
        ([0.1, 0.8, 0.2, 0.2], "last", 3),  # the newest, whatever it is
    ],
)
def test_the_best_is_the_best_of_all_measurements_the_last_of_equals_or_the_newest(tmp_path, values, mode, step):
    assert best_step(tmp_path, values, mode) == step


NAN = float("nan")


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize(
    ("losses", "step"),
    [
        ([0.379, 0.139, 0.5], 1),  # the lowest loss among equals
        ([0.139, 0.379, 0.5], 0),  # training has not even lowered the loss
        ([0.2, 0.1, 0.1], 2),  # the last, where the loss is the same too
        ([0.1, NAN, 0.2], 0),
        ([NAN, 0.3, NAN], 1),
        ([NAN, NAN, NAN], 0),  # nothing is known of the later ones that would speak for them
    ],
)
def test_among_equals_the_lowest_loss_counts_then_the_latest(tmp_path, losses, step, mode):
    assert best_step(tmp_path, [0.9, 0.9, 0.9], mode, losses) == step


def test_a_better_figure_counts_more_than_a_lower_loss(tmp_path):
    assert best_step(tmp_path, [0.9, 0.8, 0.91, 0.9], "max", [0.1, 0.0, 0.5, 0.0]) == 2


def test_where_the_loss_itself_is_monitored_the_latest_of_equals_counts(tmp_path):
    trainer = StandIn()
    callback = BestAndLast(folder=tmp_path, monitor="val/loss", mode="min", every_steps=None, min_interval_s=0)
    for step, value in enumerate([0.5, 0.2, 0.2, 0.3]):
        trainer.global_step, trainer.callback_metrics = step, {"val/loss": torch.tensor(value)}
        callback.on_validation_end(trainer, None)
    assert callback.best["step"] == torch.load(tmp_path / "best.ckpt")["step"] == 2


def test_a_figure_that_another_selection_follows_has_the_same_ties(tmp_path):
    trainer = StandIn()
    callback = BestAndLast(folder=tmp_path, monitor="val/x", mode="max", every_steps=None, min_interval_s=0)
    callback.follow("target/y", mode="min", start_counts=False)
    for step, loss in enumerate([0.1, 0.5, 0.4, 0.6]):
        trainer.global_step = step
        trainer.callback_metrics = {"target/y": torch.tensor(0.7), "val/loss": torch.tensor(loss)}
        callback.on_validation_end(trainer, None)
    assert callback.best["step"] == 2  # step 0, of the lowest loss, does not count for this figure


def test_with_a_figure_for_which_the_start_does_not_count_the_best_comes_after_the_first_step(tmp_path):
    trainer = StandIn()
    callback = BestAndLast(folder=tmp_path, monitor="val/x", mode="min", every_steps=None, min_interval_s=0)
    callback.follow("target/y", mode="max", start_counts=False)
    for step, value in enumerate([0.9, 0.1, 0.2]):
        trainer.global_step = step
        trainer.callback_metrics = {"val/x": torch.tensor(0.5), "target/y": torch.tensor(value)}
        callback.on_validation_end(trainer, None)
        assert bool(callback.best) == (step > 0)
    assert callback.best == {"epoch": 1, "step": 2, "val/x": 0.5, "target/y": pytest.approx(0.2)}


def test_a_figure_that_nobody_measures_is_an_error_that_names_those_that_there_are(tmp_path):
    trainer, callback = (
        StandIn(),
        BestAndLast(folder=tmp_path, monitor="val/acc", mode="max", every_steps=None, min_interval_s=0),
    )
    trainer.callback_metrics = {"val/accuracy": torch.tensor(1.0)}
    with pytest.raises(UserError, match="val/acc is not measured; measured are val/accuracy"):
        callback.on_validation_end(trainer, None)


class Writes(Callback):
    """After how many steps last.ckpt was written; a step takes so many seconds by the clock that it keeps."""

    def __init__(self, patch, *, step_s):
        self.now, self.step_s, self.steps = 0.0, step_s, []
        patch.setattr("headstart.callbacks.checkpoints.best_and_last.time.monotonic", lambda: self.now)

    def on_train_batch_end(self, *_):
        self.now += self.step_s

    def on_save_checkpoint(self, trainer, pl_module, checkpoint):
        if trainer.training:
            self.steps.append(trainer.global_step)


@pytest.mark.parametrize(
    ("every_steps", "min_interval_s", "written"),
    [
        (None, 0, [4, 8, 12, 16, 20]),  # 4 steps an epoch, 2 seconds a step
        (None, 8, [4, 8, 12, 16, 20]),
        (None, 9, [8, 16, 20]),  # the run's end is always kept
        (None, 1000, [20]),
        (3, 0, [3, 4, 6, 8, 9, 12, 15, 16, 18, 20]),
        (3, 7, [4, 8, 12, 16, 20]),
    ],
)
def test_the_last_checkpoint_is_not_written_too_often_but_at_the_end(
    tmp_path, monkeypatch, every_steps, min_interval_s, written
):
    writes = Writes(monkeypatch, step_s=2)
    checkpoint = BestAndLast(
        folder=tmp_path, monitor="val/loss", mode="min", every_steps=every_steps, min_interval_s=min_interval_s
    )
    trainer = Trainer(
        max_epochs=5, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False, num_sanity_val_steps=0, callbacks=[checkpoint, writes],
    )  # fmt: skip
    trainer.fit(Line(), DataLoader(torch.randn(8, 2), batch_size=2), DataLoader(torch.randn(4, 2), batch_size=2))
    assert writes.steps == written
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 20


class Losses(LightningModule):
    """Validates to these losses, one after the other, and notes what best.ckpt is at each; 4 steps an epoch."""

    def __init__(self, losses, folder):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
        self.losses, self.best, self.seen = list(losses), folder / "best.ckpt", []

    def training_step(self, batch, _):
        return self.layer(batch).square().mean()

    def on_validation_epoch_start(self):
        self.seen.append(torch.load(self.best, weights_only=True)["global_step"] if self.best.exists() else None)

    def validation_step(self, batch, _):
        self.log("val/loss", torch.tensor(self.losses[len(self.seen) - 1]))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class EndsError(Exception):
    pass


class EndsIn(Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def on_train_batch_end(self, trainer, *_):
        if trainer.current_epoch == self.epoch:
            raise EndsError


def with_losses(folder, losses, *callbacks, min_interval_s):
    checkpoint = BestAndLast(
        folder=folder, monitor="val/loss", mode="min", every_steps=None, min_interval_s=min_interval_s
    )
    module = Losses(losses, folder)
    trainer = Trainer(
        max_epochs=len(losses), accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False, num_sanity_val_steps=0, callbacks=[checkpoint, *callbacks],
    )  # fmt: skip
    return trainer, module


def loaders():
    return DataLoader(torch.randn(8, 2), batch_size=2), DataLoader(torch.randn(4, 2), batch_size=4)


@pytest.mark.parametrize(
    ("step_s", "min_interval_s", "seen"),
    [
        (2, 0, [None, 4, 8, 8, 8]),  # 8 seconds an epoch: at once
        (2, 8, [None, 4, 8, 8, 8]),
        (2, 9, [None, None, 8, 8, 8]),  # the first one with last.ckpt, which is old enough only then
        (2, 1000, [None] * 5),
    ],
)
def test_a_best_state_that_comes_soon_is_written_with_the_last_one_and_is_of_its_own_step(
    tmp_path, monkeypatch, step_s, min_interval_s, seen
):
    losses = [3.0, 1.0, 2.0, 2.0, 2.0]
    trainer, module = with_losses(tmp_path, losses, Writes(monkeypatch, step_s=step_s), min_interval_s=min_interval_s)
    trainer.fit(module, *loaders())
    assert module.seen == seen
    kept = torch.load(tmp_path / "best.ckpt", weights_only=True)
    assert kept["global_step"] == 8
    assert not torch.equal(kept["state_dict"]["layer.weight"], module.layer.weight)  # those of then, not of now


def test_the_latest_of_equals_is_held_in_memory_and_written_at_the_end(tmp_path):
    trainer, module = with_losses(tmp_path, [3.0, 1.0, 1.0, 2.0], min_interval_s=1000)
    trainer.fit(module, *loaders())
    assert module.seen == [None] * 4
    assert torch.load(tmp_path / "best.ckpt", weights_only=True)["global_step"] == 12


def test_a_resumed_run_knows_the_loss_of_the_best(tmp_path):
    best = {"epoch": 1, "step": 4, "val/x": 0.5, "val/loss": 0.2}
    callback = BestAndLast(folder=tmp_path, monitor="val/x", mode="max", every_steps=None, min_interval_s=0)
    torch.save({"callbacks": {callback.state_key: {"best": best}}}, tmp_path / "best.ckpt")
    callback.load_state_dict({"best": {"epoch": 0, "step": 0, "val/x": 0.5, "val/loss": 0.3}})
    trainer = StandIn()
    trainer.global_step = 8
    for loss, step in ((0.21, 4), (0.2, 8)):
        trainer.callback_metrics = {"val/x": torch.tensor(0.5), "val/loss": torch.tensor(loss, dtype=torch.float64)}
        callback.on_validation_end(trainer, None)
        assert callback.best["step"] == step


def test_what_is_held_in_memory_is_what_is_written_at_once(tmp_path):
    found = []
    for name, interval in (("once", 0), ("held", 1000)):
        torch.manual_seed(0)
        trainer, module = with_losses(tmp_path / name, [3.0, 1.0, 2.0], min_interval_s=interval)
        trainer.fit(module, *(DataLoader(torch.ones(8, 2), batch_size=2) for _ in range(2)))
        found.append(torch.load(tmp_path / name / "best.ckpt", weights_only=True))
    once, held = found
    assert once.keys() == held.keys()
    assert once["state_dict"]._metadata == held["state_dict"]._metadata
    for name, tensor in once["state_dict"].items():
        assert torch.equal(tensor, held["state_dict"][name])
    for name in ("optimizer_states", "loops", "callbacks", "epoch", "global_step"):
        assert str(once[name]) == str(held[name])


def test_a_run_that_breaks_off_leaves_its_best_state(tmp_path):
    trainer, module = with_losses(tmp_path, [3.0, 1.0, 2.0, 2.0], EndsIn(2), min_interval_s=1000)
    with pytest.raises(EndsError):
        trainer.fit(module, *loaders())
    assert torch.load(tmp_path / "best.ckpt", weights_only=True)["global_step"] == 8


def test_devices_are_asked_for_the_age_of_a_file_once_each_so_many_steps(tmp_path, monkeypatch):
    checkpoint = BestAndLast(folder=tmp_path, monitor="val/loss", mode="min", every_steps=3, min_interval_s=1000)
    asked = []
    monkeypatch.setattr(checkpoint, "_is_old", lambda *_: asked.append(1))
    trainer = Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False, num_sanity_val_steps=0, callbacks=[checkpoint],
    )  # fmt: skip
    trainer.fit(Line(), DataLoader(torch.randn(20, 2), batch_size=2))
    assert len(asked) == 3  # at 3, 6 and 9 of 10 steps

"""The final model is validated, whatever ends the run and however seldom it validates."""

import csv

import pytest
import torch
from pytorch_lightning import Callback
from torch.utils.data import DataLoader

from composed import trained
from headstart.callbacks.training.final_validation import FinalValidation
from numbered import SaveAfter, trainer
from one_line_model import Line

EPOCH = 4  # batches


class Measured(Callback):
    """(epoch, optimizer steps) of each validation."""

    def __init__(self):
        self.all = []

    def on_validation_end(self, trainer, module):
        self.all.append((trainer.current_epoch, trainer.global_step))


class StopAt(Callback):
    def __init__(self, hook, step):
        setattr(self, hook, self.stop)
        self.step = step

    def stop(self, trainer, *_):
        if trainer.global_step >= self.step:
            trainer.should_stop = True


def fitted(folder, *more, checkpoint=None, **settings):
    measured = Measured()
    run = trainer(folder, callbacks=[FinalValidation(), measured, *more], **settings)
    train, val = (DataLoader(torch.ones(8, 2), batch_size=size) for size in (8 // EPOCH, 8))
    run.fit(Line(), train, val, ckpt_path=checkpoint)
    return measured.all, run


@pytest.mark.parametrize(
    ("settings", "want"),
    [
        ({"max_epochs": 3}, [(0, 4), (1, 8), (2, 12)]),  # as Lightning does
        ({"max_epochs": 3, "check_val_every_n_epoch": 5}, [(2, 12)]),
        ({"max_epochs": 3, "check_val_every_n_epoch": 2}, [(1, 8), (2, 12)]),
        ({"max_epochs": 4, "check_val_every_n_epoch": 2}, [(1, 8), (3, 16)]),
        ({"max_steps": 6, "max_epochs": -1}, [(0, 4), (1, 6)]),  # in mid-epoch
        ({"max_epochs": 2, "check_val_every_n_epoch": None, "val_check_interval": 3}, [(0, 3), (1, 6), (1, 8)]),
        ({"max_epochs": 1, "val_check_interval": 3}, [(0, 3), (0, 4)]),
        ({"max_epochs": 2, "accumulate_grad_batches": 3, "check_val_every_n_epoch": 4}, [(1, 4)]),
        ({"max_epochs": 3, "limit_val_batches": 0}, []),
    ],
)
def test_the_last_model_is_measured_once(tmp_path, settings, want):
    found, run = fitted(tmp_path, **settings)
    assert found == want
    assert run.current_epoch == (settings["max_epochs"] if settings["max_epochs"] > 0 else 2)


@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_train_epoch_end"])
def test_a_run_that_a_callback_stops_is_measured_where_it_stopped(tmp_path, hook):
    found, run = fitted(tmp_path, StopAt(hook, 6), max_epochs=9, check_val_every_n_epoch=5)
    assert [step for _, step in found] == [run.global_step] == [6 if hook == "on_train_batch_end" else 8]


@pytest.mark.parametrize("place", [(1, EPOCH), (2, 2)])
@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch")
def test_a_resumed_run_measures_its_end_as_the_uninterrupted_one_does(tmp_path, place):
    seldom = {"max_epochs": 3, "check_val_every_n_epoch": 5}
    whole, _ = fitted(tmp_path, SaveAfter(tmp_path, {place}), **seldom)
    again, _ = fitted(tmp_path, checkpoint=tmp_path / "{}-{}.ckpt".format(*place), **seldom)
    assert again == whole == [(2, 12)]


def test_what_stands_beside_the_best_figures_is_their_model(tmp_path):
    """The command of a report: an untrained model was the result."""
    more = ["mode=scratch", "trainer.max_epochs=3", "trainer.check_val_every_n_epoch=5", "logger=csv"]
    result = trained(*more, folder=tmp_path / "run")
    assert [(point["epoch"], point["step"]) for point in result["evaluations"]] == [(0, 0), (3, 12)]
    assert (result["best"]["epoch"], result["best"]["step"]) == (3, 12)
    every = trained("mode=scratch", "trainer.max_epochs=3", "logger=csv", folder=tmp_path / "every")
    assert result["weights_hash"] == every["weights_hash"] or every["best"]["step"] != 12
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        curve = [row for row in csv.DictReader(file) if row["val/accuracy"]]
    with (tmp_path / "every" / "metrics.csv").open(newline="") as file:
        whole = [row for row in csv.DictReader(file) if row["val/accuracy"]]
    assert [row["val/loss"] for row in curve] == [whole[0]["val/loss"], whole[-1]["val/loss"]]
    assert [row["epoch"] for row in curve] == [whole[0]["epoch"], whole[-1]["epoch"]]
    kept = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert kept["callbacks"]["BestAndLast"]["best"]["step"] == 12  # the file is written after the last measurement

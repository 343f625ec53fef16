"""Lightning's own training goes on exactly from last.ckpt, whatever it logs, schedules and accumulates.

Nothing of headstart's modules: a plain LightningModule, in one process; instead of a kill, an exception.
"""

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.loggers import CSVLogger
from torch import nn
from torch.nn.functional import cross_entropy
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassAUROC, MulticlassF1Score

from headstart.callbacks.checkpoints.best_and_last import BestAndLast
from headstart.callbacks.checkpoints.epoch_metric_state import EpochMetricState
from headstart.callbacks.checkpoints.log_positions import LogPositions
from headstart.callbacks.checkpoints.rng_states import RngStates
from numbered import numbered


class Kill(Exception):  # noqa: N818
    """The end of the world."""


class KilledAfter(pl.Callback):
    """Ends the run at the start of the batch after so many."""

    def __init__(self, batches):
        self.batches = batches

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.fit_loop.epoch_loop.total_batch_idx == self.batches:
            raise Kill


class Chatty(pl.LightningModule):
    """Logs in all ways; dropout draws from the global random numbers."""

    def __init__(self, plateau=None):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.4), nn.Linear(8, 3))
        metrics = {"accuracy": MulticlassAccuracy(3), "f1": MulticlassF1Score(3), "auroc": MulticlassAUROC(3)}
        self.metrics = MetricCollection(metrics, prefix="train/")
        self.late = self.metrics.clone(prefix="late/")
        self.plateau = plateau

    def training_step(self, batch, batch_idx):
        logits = self.net(batch.image / 21)
        loss = cross_entropy(logits, batch.label)
        self.metrics(logits.detach(), batch.label)
        self.late.update(logits.detach(), batch.label)
        self.log_dict(self.metrics, on_step=True, on_epoch=True)
        self.log("train/loss", loss, on_step=True, on_epoch=True)
        self.log("train/worst", loss, on_step=False, on_epoch=True, reduce_fx="max")
        self.log("train/sum", loss, on_step=False, on_epoch=True, reduce_fx="sum")
        if batch_idx == 1:
            self.log("train/second", loss, on_step=True, on_epoch=True)
        return loss

    def on_train_epoch_end(self):
        self.log_dict(self.late.compute())
        self.late.reset()

    def validation_step(self, batch, _):
        self.log("val/loss", cross_entropy(self.net(batch.image / 21), batch.label))

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        if self.plateau is None:  # asks for the run's length, and so makes the loader early
            steps = self.trainer.estimated_stepping_batches
            return [optimizer], [
                {"scheduler": torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, int(steps)), "interval": "step"}
            ]
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=0.5)
        monitor = "val/loss" if self.plateau == "epoch" else "train/loss_step"
        return [optimizer], [{"scheduler": scheduler, "interval": self.plateau, "monitor": monitor, "strict": False}]


def run(folder, *, stop=None, resume=False, plateau=None, more=(), **settings):
    """(weights, the rows of metrics.csv, the rate) of a run, or None where it was stopped."""
    folder.mkdir(exist_ok=True)
    torch.manual_seed(3)
    module = Chatty(plateau)
    checkpoint = BestAndLast(folder=folder, monitor="val/loss", mode="min", every_steps=1, min_interval_s=0)
    callbacks = [*more, checkpoint, EpochMetricState(), LogPositions(folder=folder), RngStates()]
    if stop is not None:
        callbacks.append(KilledAfter(stop))
    trainer = pl.Trainer(
        accelerator="cpu", logger=CSVLogger(folder, name="", version=""), enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False, num_sanity_val_steps=0, log_every_n_steps=1,
        callbacks=callbacks, **{"max_epochs": 3} | settings,
    )  # fmt: skip
    last = folder / "last.ckpt"
    try:
        trainer.fit(module, datamodule=numbered(), ckpt_path=last if resume and last.exists() else None)
    except Kill:
        return None
    return module.state_dict(), (folder / "metrics.csv").read_bytes(), trainer.optimizers[0].param_groups[0]["lr"]


SETTINGS = {
    "one cycle": {},
    "accumulation": {"accumulate_grad_batches": 2},
    "max steps": {"max_steps": 12, "max_epochs": -1},
    "plateau by epoch": {"plateau": "epoch"},
    "plateau by epoch, validated every second": {"plateau": "epoch", "check_val_every_n_epoch": 2, "max_epochs": 4},
    "plateau by step": {"plateau": "step"},
    "validation in mid-epoch, accumulation": {"val_check_interval": 2, "accumulate_grad_batches": 2},
    "validation in mid-epoch": {"val_check_interval": 2, "plateau": "step"},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("batches", [(5, 8), pytest.param(range(15), marks=pytest.mark.slow)], ids=["some", "all"])
@pytest.mark.parametrize("name", SETTINGS)
def test_a_run_goes_on_exactly_after_each_of_its_batches(tmp_path, name, batches):
    settings = SETTINGS[name]
    weights, rows, rate = run(tmp_path / "whole", **settings)
    for batch in batches:
        folder = tmp_path / f"{batch}"
        if run(folder, stop=batch, **settings) is not None:
            assert (name, batch) == ("max steps", 12)
            break
        again = run(folder, resume=True, **settings)
        assert all(torch.equal(tensor, again[0][key]) for key, tensor in weights.items()), batch
        assert again[1].decode() == rows.decode(), batch
        assert again[2] == rate


@pytest.mark.filterwarnings("ignore")
def test_a_run_that_stopped_early_does_not_go_on(tmp_path):
    class StopsEarly(EarlyStopping):
        def on_validation_end(self, trainer, pl_module):
            trainer.should_stop = trainer.current_epoch == 1

    whole = run(tmp_path, more=[StopsEarly("val/loss")])
    again = run(tmp_path, more=[EarlyStopping("val/loss", patience=9)], resume=True)
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["epoch"] == 2
    assert again[1] == whole[1]

"""What compat/lightning/lightning_metrics.py relies on. Tried: pytorch-lightning 2.5.0 and 2.6.6."""

import pytest
import torch
from pytorch_lightning import Callback
from torch.utils.data import DataLoader
from torchmetrics import MeanMetric

from headstart.compat.lightning.lightning_metrics import logged_metrics, restore_logged_metrics
from numbered import trainer
from one_line_model import Line


class Logs(Line):
    """Logs the number of the batch as a mean, as the largest, and by a metric."""

    def __init__(self):
        super().__init__()
        self.metric = MeanMetric()

    def training_step(self, batch, number):
        self.metric.update(float(number))
        self.log("by_metric", self.metric, on_step=False, on_epoch=True)
        self.log("mean", float(number), on_step=False, on_epoch=True, batch_size=2)
        self.log("largest", float(number), on_step=False, on_epoch=True, reduce_fx="max", batch_size=2)
        return super().training_step(batch, number)


class Take(Callback):
    """Takes what was logged up to a batch."""

    def __init__(self, after):
        self.after, self.logged = after, None

    def on_train_batch_end(self, trainer, module, outputs, batch, number):
        if number == self.after:
            self.logged = logged_metrics(trainer)


class Restore(Callback):
    def __init__(self, logged):
        self.logged = logged

    def on_train_start(self, trainer, module):
        restore_logged_metrics(trainer, module, self.logged)


def fitted(folder, callback, **settings):
    run = trainer(folder, callbacks=[callback], max_epochs=1, **settings)
    run.fit(Logs(), DataLoader(torch.ones(8, 2), batch_size=2))
    return {name: float(value) for name, value in run.callback_metrics.items()}


def test_what_was_logged_is_read_with_the_way_in_which_it_was_logged(tmp_path):
    take = Take(after=2)
    fitted(tmp_path, take)
    assert take.logged.keys() == {f"training_step.{name}" for name in ("by_metric", "mean", "largest")}
    mean, largest = (take.logged[f"training_step.{name}"] for name in ("mean", "largest"))
    assert mean["how"]["reduce_fx"] == "mean"
    assert largest["how"]["reduce_fx"] == "max"
    assert float(mean["state"]["value"]) == 2 * (0 + 1 + 2)  # each number counts by its batch's two images
    assert float(mean["state"]["cumulated_batch_size"]) == 6
    assert float(largest["state"]["value"]) == 2
    assert "value" not in take.logged["training_step.by_metric"]["state"]  # it is the metric's own


def test_an_epoch_with_restored_metrics_reports_those_of_both_parts(tmp_path):
    take = Take(after=2)  # 0, 1 and 2
    fitted(tmp_path / "first", take)
    together = fitted(tmp_path / "second", Restore(take.logged), limit_train_batches=2)  # and 0, 1 once more
    assert together["mean"] == pytest.approx((0 + 1 + 2 + 0 + 1) / 5)
    assert together["largest"] == 2
    alone = fitted(tmp_path / "third", Restore({}), limit_train_batches=2)
    assert alone["mean"] == 0.5

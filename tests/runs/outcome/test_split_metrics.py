"""Metrics of a split are those whose tag begins with it."""

import torch

from headstart.runs.outcome.split_metrics import split_metrics


def test_the_metrics_of_the_named_splits_are_numbers_and_no_others_are_there():
    logged = {"val/loss": torch.tensor(0.5), "validity/x": 1, "target/infomax": 2.0, "test/loss": 3, "epoch": 4}
    assert split_metrics(logged, "val", "target") == {"val/loss": 0.5, "target/infomax": 2.0}
    assert split_metrics(logged, "train") == {}

"""Which way a metric is better, and the modes that follow from it."""

import pytest

from headstart.system.metric_direction import best_mode, is_share, is_unit_free, lower_is_better, with_modes


@pytest.mark.parametrize("metric", ["val/loss", "test/mae", "val/rmse", "val/calibration_error", "train/mse"])
def test_less_of_a_loss_and_of_an_error_is_better(metric):
    assert lower_is_better(metric)
    assert best_mode(metric) == "min"
    assert not is_share(metric)


@pytest.mark.parametrize(
    "metric", ["val/accuracy", "val/r2", "val/auroc", "val/cohen_kappa", "val/map", "val/matthews"]
)
def test_more_of_the_others_is_better(metric):
    assert not lower_is_better(metric)
    assert best_mode(metric) == "max"
    assert is_unit_free(metric)


def test_what_is_a_share_of_the_images():
    shares = [name for name in ("top5_accuracy", "f1", "map", "auroc", "r2", "matthews", "mae") if is_share(name)]
    assert shares == ["top5_accuracy", "f1", "map", "auroc"]


def test_null_modes_are_the_direction_of_the_metric_beside_them_and_others_stay():
    config = {
        "callbacks": {
            "checkpoint": {"monitor": "val/mae", "mode": None},
            "stop": {"monitor": None, "mode": None},
            "own": {"monitor": "val/loss", "mode": "max"},
        },
        "scheduler": {"schedulers": [{"_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau", "mode": None}]},
        "mode": "scratch",
        "trainer": {"mode": None},
    }
    found = with_modes(config, "val/accuracy")
    assert [found["callbacks"][name]["mode"] for name in ("checkpoint", "stop", "own")] == ["min", "max", "max"]
    assert found["scheduler"]["schedulers"][0]["mode"] == "max"
    assert (found["mode"], found["trainer"]["mode"]) == ("scratch", None)

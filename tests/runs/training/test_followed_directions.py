"""A mode that follows a metric against its own direction is a warning that names both."""

import pytest

from composed import composed
from headstart.runs.training.followed_directions import warn_of_wrong_directions


@pytest.mark.parametrize(("overrides", "told"), [
    (["callbacks.checkpoint.monitor=val/loss", "callbacks.checkpoint.mode=max"],
     "callbacks.checkpoint.mode=max takes the worst val/loss for the best, as less of it is better"),
    (["callbacks.checkpoint.mode=min"],
     "callbacks.checkpoint.mode=min takes the worst val/accuracy for the best, as more of it is better"),
    (["callbacks=early_stopping", "callbacks.early_stopping.mode=min"],
     "callbacks.early_stopping.mode=min takes the worst val/accuracy"),
    (["scheduler=plateau", "scheduler.mode=max"], "scheduler.mode=max takes the worst val/loss"),
    (["unfreeze=plateau", "unfreeze.until.mode=min"], "unfreeze.until.mode=min takes the worst val/accuracy"),
])  # fmt: skip
def test_the_opposite_of_a_metrics_direction_is_told(overrides, told, caplog):
    warn_of_wrong_directions(composed("mode=gradual", *overrides), "val/accuracy")
    assert told in caplog.text


@pytest.mark.parametrize("overrides", [
    [],
    ["callbacks=early_stopping", "scheduler=plateau", "unfreeze=plateau"],
    ["callbacks.checkpoint.monitor=val/loss", "callbacks.checkpoint.mode=min"],
    ["callbacks.checkpoint.mode=last"],
    ["scheduler=plateau", "scheduler.mode=max", "module.scheduler_monitor=val/accuracy"],
])  # fmt: skip
def test_a_metrics_own_direction_is_no_warning(overrides, caplog):
    warn_of_wrong_directions(composed("mode=gradual", *overrides), "val/accuracy")
    assert caplog.text == ""

from types import SimpleNamespace

import pytest
import torch

from headstart.callbacks.checkpoint import BestAndLast
from headstart.types import UserError


class StandIn:
    """As much of a trainer as the callback asks for."""

    def __init__(self):
        self.state = SimpleNamespace(fn="fit")
        self.is_global_zero = True
        self.current_epoch = self.global_step = 0
        self.callback_metrics = {}

    def save_checkpoint(self, path):
        torch.save({"step": self.global_step}, path)


def best_step(tmp_path, values, mode="max"):
    trainer, callback = StandIn(), BestAndLast(folder=tmp_path, monitor="val/x", mode=mode, every_steps=None)
    for step, value in enumerate(values):
        trainer.global_step = step
        trainer.callback_metrics = {"val/x": torch.tensor(value), "train/loss": torch.tensor(0.0)}
        callback.on_validation_end(trainer, None)
    assert callback.best["step"] == torch.load(tmp_path / "best.ckpt")["step"]
    assert [path.name for path in tmp_path.iterdir()] == ["best.ckpt"]
    return callback.best["step"]


@pytest.mark.parametrize(
    ("values", "mode", "step"),
    [
        ([0.9, 0.5, 0.6], "max", 0),  # the weights before the first step count
        ([0.1, 0.8, 0.8, 0.2], "max", 1),  # the first of equals
        ([2.0, 1.0, 3.0], "min", 1),
    ],
)
def test_the_best_is_the_first_best_of_all_measurements(tmp_path, values, mode, step):
    assert best_step(tmp_path, values, mode) == step


def test_a_figure_that_nobody_measures_is_an_error_that_names_those_that_there_are(tmp_path):
    trainer, callback = StandIn(), BestAndLast(folder=tmp_path, monitor="val/acc", mode="max", every_steps=None)
    trainer.callback_metrics = {"val/accuracy": torch.tensor(1.0)}
    with pytest.raises(UserError, match="val/acc is not measured; measured are val/accuracy"):
        callback.on_validation_end(trainer, None)

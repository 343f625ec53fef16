"""A run that a time ends says so in its plan and in its progress."""

from types import SimpleNamespace

import pytest

from headstart.callbacks.timing.progress_bar import Progress
from headstart.cli import main

RUN = ["task=plan", "mode=gradual", "backbone.width=4", "trainer.accelerator=cpu"]


@pytest.mark.parametrize(
    ("limits", "length"),
    [
        (["trainer.max_time=00:00:10:00"], "run: 120 steps in at most 0:10:00 (max_time)"),
        (["trainer.max_time={hours: 25}", "trainer.max_epochs=-1"], "run: as many steps as there are in 1 day"),
        (["trainer.max_epochs=30"], "run: 120 steps, 4 an epoch"),
    ],
)
def test_a_plan_says_the_time_that_ends_the_run(limits, length, capsys):
    assert main([*RUN, *limits]) == 0
    assert length in capsys.readouterr().out


def test_a_time_that_is_none_is_refused_before_a_plan_is_made(capsys):
    assert main([*RUN, "trainer.max_time=soon"]) == 2
    assert "days:hours:minutes:seconds" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("max_epochs", "max_steps", "shown"), [(-1, -1, "step 7"), (-1, 90, "step 7/90"), (30, -1, "epoch 2/30")]
)
def test_progress_names_no_length_where_a_time_alone_ends_the_run(max_epochs, max_steps, shown, capsys):
    trainer = SimpleNamespace(
        max_epochs=max_epochs, max_steps=max_steps, global_step=7, current_epoch=2,
        callback_metrics={"val/accuracy": 0.5},
    )  # fmt: skip
    bar = Progress(monitor="val/accuracy")
    bar.title, bar._bar = "run", SimpleNamespace(close=lambda: None)
    bar.on_fit_end(trainer, None)
    assert capsys.readouterr().err == f"run: {shown}, val/accuracy 0.500\n"

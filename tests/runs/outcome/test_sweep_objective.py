"""A sweeper gets the level of the curve that was asked for."""

import math

import pytest

from headstart.cli import main
from headstart.cli.run_job import VALUES
from headstart.runs.outcome.sweep_objective import value_of

CURVE = [(0, 0.9), (4, 0.5), (8, 0.7), (12, 0.6)]  # a head in closed form is the best
BEST = {"monitor": "val/accuracy", "metrics": {"val/accuracy": 0.9, "val/loss": 0.9}, "evaluations": [{}]}
LOSS = {"selection": {"metric": "val/loss", "mode": "min"}}


def written(folder):
    lines = [f"{step},{level},{level}" for step, level in CURVE]
    (folder / "metrics.csv").write_text("\n".join(["step,val/accuracy,val/loss", *lines, "12,,"]))
    return folder


@pytest.mark.parametrize(
    ("more", "objective", "want"),
    [
        ({}, "best_trained", 0.7),
        ({}, "last", 0.6),
        ({}, "best", 0.9),
        (LOSS, "best_trained", -0.5),  # less is better
        (LOSS, "last", -0.6),
        ({"selection": {"metric": "val/loss", "mode": "last"}}, "best_trained", -0.6),
        ({"selection": {"metric": "val/accuracy", "mode": "last"}}, "best_trained", 0.6),
    ],
)
def test_the_value_is_the_level_that_is_asked_for_larger_is_better(tmp_path, more, objective, want):
    assert value_of(BEST | more, written(tmp_path), objective) == pytest.approx(want)


def test_without_a_curve_the_best_checkpoints_figure_is_all_there_is(tmp_path):
    assert value_of(BEST, tmp_path, "last") == 0.9
    assert math.isnan(value_of(BEST | {"metrics": {"val/accuracy": None}}, tmp_path, "last"))
    assert math.isnan(value_of(BEST | {"evaluations": []}, written(tmp_path), "last"))


@pytest.mark.slow
def test_a_sweep_whose_jobs_all_have_the_same_value_says_so(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "same.py").write_text("def fit(*, cfg):\n    return 0.25 if cfg.seed < 9 else 0.5\n")
    same = ["task=fit", "mode=scratch", "fit._target_=same.fit", "~hydra.callbacks.report"]
    assert main(["-m", *same, "seed=0,1,2"]) == 0
    assert "warning: all 3 jobs gave the same value, 0.25 (objective=best_trained)" in capfd.readouterr().err
    assert main(["-m", *same, "seed=0,1,2", "objective=last"]) == 0
    assert "try objective=best_trained" in capfd.readouterr().err
    assert main(["-m", *same, "seed=0,1,9"]) == 0
    assert VALUES == [0.25, 0.25, 0.5]
    assert "warning" not in capfd.readouterr().err

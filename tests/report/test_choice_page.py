"""What a choice says of a model that is none."""

import math

import pytest

from headstart.report.rendering.choice_page import choice_sentences, choice_text

TRIAL = {
    "candidate": "command", "mode": "fine_tuning", "values": {"optimizer.lr": 1.0}, "epochs": 1, "metric": None,
    "state": "diverged", "why": "", "at_s": 3.0, "folder": "x",
}  # fmt: skip
RESULT = {
    "state": "finished", "monitor": "val/accuracy", "lower": False, "ended_early": False, "sizes": {"val": 30},
    "chosen": {"candidate": "command", "mode": "fine_tuning", "values": {"optimizer.lr": 1.0}, "epochs": 2},
    "metrics": {"val/accuracy": 0.5, "test/accuracy": 0.25}, "candidates": [], "pareto": [], "trials": [TRIAL],
    "time": {"spent_s": 5.0, "given_s": 10.0, "model_s": 1.0, "scores_s": 1.0, "trials_s": 3.0},
}  # fmt: skip


def test_a_model_that_diverged_is_said_to_be_none():
    said = " ".join(choice_sentences({**RESULT, "state": "diverged"}))
    assert "Training of the model diverged" in said
    assert "diverged" not in choice_sentences(RESULT)[0]


def test_trials_that_diverged_are_not_trials_that_came_too_late():
    said = " ".join(choice_sentences(RESULT))
    assert "All trials that were in time diverged" in said
    assert "No trial was in time" not in said
    late = {**RESULT, "trials": [{**TRIAL, "state": "out of time"}]}
    assert "No trial was in time" in " ".join(choice_sentences(late))


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_a_metric_that_is_no_number_is_left_out(value):
    """In the file it is null, and nan before."""
    said = choice_text({**RESULT, "metrics": {"val/accuracy": value, "test/accuracy": 0.25}})
    assert "2 epochs; test/accuracy 0.250" in said
    assert "2 epochs; no metric" in choice_text({**RESULT, "metrics": {"val/accuracy": value}})

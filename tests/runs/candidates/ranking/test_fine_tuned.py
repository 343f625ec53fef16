"""What fine-tuning a candidate came to, where a run of it diverged or has no such metric."""

import math
from types import SimpleNamespace

import pytest

from headstart.runs.candidates.ranking import fine_tuned as module
from headstart.runs.candidates.ranking.fine_tuned import fine_tuned
from headstart.types import UserError

OWN = 0.5  # the candidates' rate


def candidate(seed):
    return SimpleNamespace(cfg=SimpleNamespace(seed=seed, optimizer=SimpleNamespace(lr=OWN)))


SEEDS = {0: candidate(0), 1: candidate(1)}


def results(monkeypatch, by_rate):
    monkeypatch.setattr(module, "_result", lambda cfg, rate: by_rate[rate / OWN][cfg.seed])


def run(value, state="finished"):
    return {"name": "run", "state": state, "metrics": {"val/accuracy": value, "test/accuracy": value}}


def test_a_rate_at_which_a_run_diverged_is_not_chosen(monkeypatch):
    """The metrics of a diverged run are those of its last whole checkpoint."""
    results(monkeypatch, {0.1: [run(0.6), run(0.6)], 1.0: [run(0.9), run(0.9, "diverged")]})
    assert fine_tuned(SEEDS, [0.1, 1.0]) == (0.1 * OWN, [0.6, 0.6], [0.6, 0.6])


def test_where_all_diverged_the_outcome_is_no_number_also_from_disk(monkeypatch):
    results(monkeypatch, {0.1: [run(None, "diverged")] * 2})
    found = fine_tuned(SEEDS, [0.1])
    assert all(math.isnan(value) for value in (*found.test, *found.val))


def test_a_run_without_test_accuracy_is_no_outcome_of_0(monkeypatch):
    untested = run(0.5)
    del untested["metrics"]["test/accuracy"]
    results(monkeypatch, {0.1: [untested, untested]})
    with pytest.raises(UserError, match="rank_check compares test/accuracy after fine-tuning, and run has none"):
        fine_tuned(SEEDS, [0.1])

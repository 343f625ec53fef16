"""A result.json whose entries are of other types is damaged, wherever it is read."""

import json

import pytest

from headstart.report.stored_runs.study_runs import LeftOutRun, run_in
from headstart.runs.folder.run_folder import finished, result_damage
from headstart.runs.status.job_states import job_state
from headstart.system.result_type_check import TYPES, misfit

RIGHT = {
    "format": 2, "mode": "scratch", "seed": 0, "monitor": "val/accuracy", "state": "finished", "overrides": ["seed=0"],
    "metrics": {"val/accuracy": 0.5, "test/accuracy": None, "val/loss": float("nan")}, "class_names": ["a", "b"],
    "evaluations": [{"epoch": 0.0, "step": 0}], "sizes": {"train": 3}, "wall_s": 1.5, "files": {"metrics.csv": "ab"},
    "multi_label": False, "source": None, "phases": [{"phase": "all"}], "something": {"of": ["a", "later version"]},
}  # fmt: skip
WRONG = {
    "metrics.val/accuracy": {"metrics": {"val/accuracy": "0.9"}},
    "metrics.test/loss": {"metrics": {"test/loss": [1]}},
    "metrics.val/f1": {"metrics": {"val/f1": 10**400}},
    "metrics.val/auroc": {"metrics": {"val/auroc": True}},
    "evaluations": {"evaluations": 5},
    "evaluations[1]": {"evaluations": [{"epoch": 0}, 7]},
    "evaluations[0].epoch": {"evaluations": [{"epoch": "x"}]},
    "class_names": {"class_names": 7},
    "class_names[1]": {"class_names": ["a", 3]},
    "monitor": {"monitor": ["val/accuracy"]},
    "state": {"state": {"a": 1}},
    "source": {"source": 5},
    "source.metrics.val/accuracy": {"source": {"metrics": {"val/accuracy": {}}}},
    "files.metrics.csv": {"files": {"metrics.csv": 3}},
    "multi_label": {"multi_label": "yes"},
    "wall_s": {"wall_s": "long"},
}


def test_what_a_run_writes_is_right():
    assert misfit(RIGHT) == ""
    assert misfit({}) == ""
    assert misfit({**RIGHT, "wall_s": {"features": 1.0, "heads": 2.0}}) == ""  # of task=probe


@pytest.mark.parametrize("name", WRONG)
def test_an_entry_of_another_type_is_named(name, tmp_path):
    (tmp_path / "metrics.csv").write_text("step,val/accuracy\n0,0.5\n")
    (tmp_path / "result.json").write_text(json.dumps({**RIGHT, **WRONG[name]}))
    assert finished(tmp_path) is None
    assert result_damage(tmp_path).startswith(f"{name} must be ")
    left_out = run_in(tmp_path)
    assert isinstance(left_out, LeftOutRun)
    assert left_out.state == "damaged"
    assert name in left_out.why
    assert job_state(tmp_path).state == "stopped"


def test_each_type_stands_below_one_that_can_hold_it():
    for path in TYPES:
        above = path.rpartition(".")[0]
        assert not above or set(TYPES[above]) & {"an object", "a list"}


@pytest.mark.parametrize("curve", [b"step,a\n0,\x00\n", b"step,a\n0," + b"9" * 200_000 + b"\n", b"step,a\n0,\xff\n"])
def test_a_curve_that_is_no_csv_file_is_damaged(curve, tmp_path):
    (tmp_path / "result.json").write_text(json.dumps({**RIGHT, "files": {}}))
    (tmp_path / "metrics.csv").write_bytes(curve)
    assert run_in(tmp_path).state == "damaged"

"""Jobs side by side by hydra/launcher=joblib."""

import json
import os

import pytest
from hydra.core.utils import JobReturn, JobStatus

from headstart.cli import main
from headstart.cli.checking import override_errors
from headstart.cli.run_job import FAILURES, FOLDERS, VALUES
from headstart.cli.sweeps.jobs_elsewhere import note_jobs_elsewhere
from headstart.runs.status.planned_jobs import PlannedJob, note_job
from headstart.types import DivergedError

JOBLIB = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]


def test_jobs_run_in_other_processes_side_by_side_and_share_the_cores(sweep, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS")  # or what the user says counts
    assert sweep(*JOBLIB, "seed=0,1", "fit.seconds=2") == 0, sweep.err
    first, second = sweep.seen[0], sweep.seen[1]
    assert len({first["pid"], second["pid"], os.getpid()}) == 3
    assert max(first["began"], second["began"]) < min(first["ended"], second["ended"])
    cores = len(os.sched_getaffinity(0))
    assert [int(seen["OMP_NUM_THREADS"]) for seen in (first, second)] == [max(1, cores // 2)] * 2


@pytest.mark.parametrize(
    ("how", "told"),
    [("bug", "RuntimeError: boom"), ("user", "expected rain, got sun"), ("two", "TwoPartError: ebb and flow")],
)
def test_a_failed_job_is_named_at_the_end_the_others_run_and_the_exit_code_is_1(sweep, how, told):
    assert sweep(*JOBLIB, "seed=0,1,2", "fit.fails_at=1", f"fit.how={how}") == 1
    assert sorted(sweep.seen) == [0, 2]
    lines = sweep.err.splitlines()
    assert sum("jobs that failed: 1;" in line for line in lines) == 1
    assert sum(line.endswith(told) and "seed=1-" in line for line in lines) == 1
    (again,) = [line for line in lines if "again: headstart -m" in line]
    assert "seed=1" in again
    assert "headstart: error" not in sweep.err


def test_a_job_whose_process_is_killed_ends_the_sweep_as_failed_and_not_as_a_mistake(sweep):
    assert sweep(*JOBLIB, "seed=0,1", "fit.fails_at=1", "fit.how=killed") == 1
    assert "unexpectedly terminated" in sweep.err


def test_processes_of_an_earlier_sweep_take_the_study_and_folder_of_the_next_one(sweep, tmp_path, monkeypatch):
    assert sweep(*JOBLIB, "seed=0,1", "fit.seconds=1") == 0, sweep.err
    processes = {seen["pid"] for seen in sweep.seen.values()}
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    assert main(sweep.argv(*JOBLIB, "seed=0,1", "fit.seconds=1", "study_name=second")) == 0
    assert len(sweep.seen) == 2
    again = sorted(other.glob("outputs/second/*/seen.json"))
    assert len(again) == 2
    assert {seen["pid"] for seen in sweep.seen.values()} == processes


def test_python_knows_the_runs_of_other_processes(tmp_path):
    for jobs in (FAILURES, FOLDERS, VALUES):
        jobs.clear()
    ended = {"a": ("finished", None), "b": ("", "a.b.BadError: boom"), "c": ("diverged", "gone"), "d": ("", None)}
    for number, (name, (state, error)) in enumerate(ended.items()):
        note_job(tmp_path, PlannedJob(tmp_path / name, (f"seed={number}",)), is_first=number == 0)
        (tmp_path / name).mkdir()
        if state:
            (tmp_path / name / "result.json").write_text(json.dumps({"state": state, "metrics": {}}))
        if error:
            (tmp_path / name / "error.txt").write_text(f"Traceback\n{error}\n")
    returned = [JobReturn(_return_value=0.5, status=JobStatus.COMPLETED), JobReturn(_return_value=float("nan"))]
    note_jobs_elsewhere(tmp_path, 0, [returned])
    assert [folder.name for folder in FOLDERS] == ["a", "c"]
    failures = {failure.folder.name: failure for failure in FAILURES}
    assert {name: failure.message for name, failure in failures.items()} == {"b": "BadError: boom", "c": "gone"}
    assert isinstance(failures["c"].error, DivergedError)
    assert VALUES == [0.5]


def test_without_the_plugin_the_message_says_how_to_install_it(sweep, monkeypatch):
    monkeypatch.setitem(override_errors.PLUGINS, "cluster", "slurm")
    assert sweep("hydra/launcher=cluster", "seed=0,1") == 2
    assert "hydra/launcher=cluster comes with: pip install 'headstart[slurm]'" in sweep.err
    assert sweep.err.count("\n") == 1

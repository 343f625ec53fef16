"""What task=status says of the jobs of a sweep, and the commands that it gives."""

import json

import pytest
from filelock import FileLock

from headstart.cli import main
from headstart.runs.status.job_states import job_states
from headstart.runs.status.planned_jobs import PlannedJob, note_job, planned_jobs

CURVE = "epoch,step,val/accuracy\n0.0,0,0.1\n1.0,4,0.5\n2.0,8,0.6\n"


def job(sweep, name, *, curve=CURVE, result=None, error=None):
    folder = sweep / name
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(f"- mode=scratch\n- seed={len(name)}\n- trial=null\n")
    (folder / ".hydra" / "config.yaml").write_text("trainer: {max_epochs: 8}\nmodule: {metric: null}\n")
    if curve:
        (folder / "metrics.csv").write_text(curve)
    if result is not None:
        (folder / "result.json").write_text(
            json.dumps({"metrics": {"val/accuracy": 0.7}, "monitor": "val/accuracy", **result})
        )
    if error is not None:
        (folder / "error.txt").write_text(error)
    return folder


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """A sweep's folder with a job in each state."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "outputs" / "pilot"
    job(folder, "done", result={"state": "finished", "wall_s": 90.0, "evaluations": [{"epoch": 8}]})
    job(folder, "nan", result={"state": "diverged", "evaluations": [{"epoch": 1}]})
    job(folder, "cut", result={"state": "pruned", "evaluations": [{"epoch": 2}]})
    job(folder, "broken", error="Traceback ...\nRuntimeError: boom\n\n")
    job(folder, "killed")
    mark = {"by": {"since": "2020-01-01 00:00:00+00:00"}}
    (job(folder, "now") / "run.json").write_text(json.dumps(mark))
    for number, name in enumerate(("done", "later")):
        note_job(folder, PlannedJob(folder / name, ("mode=scratch", "seed=7")), is_first=number == 0)
    with FileLock(folder / "now" / ".lock"):
        yield folder


def test_each_job_has_its_state_epoch_and_time(sweep):
    states = {each.folder.name: each for each in job_states(sweep)}
    assert {name: each.state for name, each in states.items()} == {
        "done": "finished", "nan": "diverged", "cut": "pruned", "broken": "failed", "killed": "stopped",
        "now": "running", "later": "waiting",
    }  # fmt: skip
    now = states["now"]
    assert (now.epoch, now.epochs, now.value) == (2.0, 8, 0.6)
    assert now.left_s == pytest.approx(now.elapsed_s * 3)  # 2 of 8 epochs are done
    assert states["broken"].error == "RuntimeError: boom"
    assert states["done"].elapsed_s == 90.0


def test_the_table_counts_the_states_and_gives_commands_that_run_the_failed_jobs_again(sweep, capsys):
    assert main(["task=status", "status.dir=outputs/pilot"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "7 jobs: 1 running, 1 waiting, 1 stopped, 1 failed, 1 diverged, 1 pruned, 1 finished"
    assert lines[lines.index("failed: broken: RuntimeError: boom") + 1].split() == [
        "headstart", "-m", "mode=scratch", "seed=6", "study_name=pilot",
    ]  # fmt: skip
    assert any(line.startswith("stopped: killed") for line in lines)


def test_a_folder_without_jobs_is_a_mistake(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs" / "pilot").mkdir(parents=True)
    assert main(["task=status", "status.dir=outputs/pilott"]) == 2
    assert "outputs holds pilot" in capsys.readouterr().err
    assert main(["task=status", "status.dir=outputs/pilot"]) == 2
    assert "holds no job" in capsys.readouterr().err


def test_a_list_that_is_cut_or_climbs_gives_the_jobs_that_it_has(tmp_path):
    (tmp_path / "jobs.jsonl").write_text(
        '{"folder": "a", "overrides": []}\n{"folder": "../b", "overrides": []}\n{"fold'
    )
    assert [each.folder.name for each in planned_jobs(tmp_path)] == ["a"]

"""Runs that a search stops: their result, their report, the exit code, and how they go on."""

import json

import pytest

from composed import TINY
from headstart.cli import main
from headstart.report.stored_runs.study_runs import LeftOutRun, run_in
from headstart.runs.status.planned_jobs import planned_jobs

pytest.importorskip("optuna")
RUN = [*TINY, "mode=scratch", "logger=csv", "callbacks.figures=null", "callbacks.checkpoint.min_interval_s=0"]
PRUNER = ["hydra.sweeper.pruner=median", "hydra.sweeper.pruner_options={n_startup_trials: 1, n_warmup_steps: 1}"]
SEARCH = ["-m", "hydra/sweeper=optuna", "optimizer.lr=0.002,1e-09", "hydra.sweeper.sampler=random", "study_name=found"]


def results(folder):
    return {file.parent: json.loads(file.read_text()) for file in folder.glob("outputs/found/*/result.json")}


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A search whose second trial is hopeless, over two seeds; its folder and exit code."""
    folder = tmp_path_factory.mktemp("searched")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        code = main([*SEARCH, *RUN, *PRUNER, "hydra.sweeper.n_trials=2", "hydra.sweeper.seed=4", "seed=0,1"])
    return folder, code


def test_hopeless_runs_are_pruned_and_the_exit_code_is_0(searched):
    folder, code = searched
    assert code == 0
    record = json.loads((folder / "outputs" / "found" / "search.json").read_text())
    states = {trial["parameters"]["optimizer.lr"]: trial["state"] for trial in record["trials"]}
    assert states == {"0.002": "finished", "1e-09": "pruned"}
    found = results(folder)
    assert {job.folder.name for job in planned_jobs(folder / "outputs" / "found")} == {run.name for run in found}
    pruned = {run: result for run, result in found.items() if result["state"] == "pruned"}
    assert len(pruned) == 1  # its second seed was not tried
    ((run, result),) = pruned.items()
    assert "optimizer.lr=1e-09" in result["overrides"]
    assert result["pruned"]["epoch"] == 2  # the first validation of trained weights is a warm-up
    assert [point["epoch"] for point in result["evaluations"]] == [0, 1, 2]
    assert not any(key.startswith("test/") for key in result["metrics"])
    assert result["metrics"]["val/accuracy"] >= 0
    assert not (run / "error.txt").exists()
    assert all(other["state"] == "finished" for path, other in found.items() if path != run)


def test_the_report_lists_a_pruned_run_and_compares_it_with_nothing(searched):
    folder, _ = searched
    (run,) = [run for run, result in results(folder).items() if result["state"] == "pruned"]
    found = run_in(run)
    assert isinstance(found, LeftOutRun)
    assert found.state == "pruned"
    assert found.why.startswith("stopped by its search after epoch 2 at val/accuracy 0.")
    assert "stopped by its search" in (folder / "outputs" / "found" / "report.md").read_text()


def test_a_pruned_run_is_not_finished_for_a_command_without_the_search(searched, monkeypatch, capsys):
    folder, _ = searched
    monkeypatch.chdir(folder)
    (run,) = [run for run, result in results(folder).items() if result["state"] == "pruned"]
    assert main(["task=reproduce", f"reproduce.run={run.relative_to(folder)}"]) == 2
    assert "to train it anew, to its end: headstart resume=" in capsys.readouterr().err
    assert main([f"resume={run.relative_to(folder)}"]) == 0
    result = json.loads((run / "result.json").read_text())
    assert result["state"] == "finished"
    assert result["evaluations"][-1]["epoch"] == 4
    assert "test/accuracy" in result["metrics"]

"""The same jobs have the same figures whatever launcher runs them."""

import json
import re

import pytest

from composed import TINY
from headstart import sweep
from headstart.runs.status.job_states import job_states
from same_run import figures

LAUNCHERS = {
    "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "slots": ["hydra/launcher=slots", "hydra.launcher.jobs=2"],
    "submitit": ["hydra/launcher=submitit_local", "hydra.launcher.cpus_per_task=1"],
}
SWEEP = [*TINY, "logger=csv", "callbacks.figures=null", "trainer.max_epochs=1", "mode=scratch,fine_tuning"]


@pytest.mark.slow
@pytest.mark.own_source
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_the_same_jobs_have_the_same_figures_and_one_source_model(launcher, tmp_path, monkeypatch, capfd):
    """Threads are one in all (OMP_NUM_THREADS=1, conftest.py): sums in another order differ in the last digits."""
    monkeypatch.chdir(tmp_path)
    seeds = "seed=0,1"  # two jobs that need the source model begin at once
    beside = sweep([*SWEEP, seeds, "study_name=beside", *LAUNCHERS[launcher]])
    said = capfd.readouterr()
    assert len(beside.runs) == 4
    assert beside.report is not None
    assert len(list(tmp_path.glob("outputs/source/*/result.json"))) == 1
    assert len(re.findall(r"printed,small_cnn-\w+: epoch 2/2", said.out + said.err)) <= 1  # it was trained once
    alone = sweep([*SWEEP, seeds, "study_name=alone"])
    for other, run in zip(beside.runs, alone.runs, strict=True):
        assert other.folder.name == run.folder.name
        assert (other.folder / "metrics.csv").read_bytes() == (run.folder / "metrics.csv").read_bytes()
        assert without_study(figures(other.folder)) == without_study(figures(run.folder))
    assert {job.state for job in job_states(beside.folder)} == {"finished"}
    marks = [(run.folder / ".hydra" / "config.yaml").stat().st_mtime_ns for run in beside.runs]
    again = sweep([*SWEEP, seeds, "study_name=beside", *LAUNCHERS[launcher]])  # finds all of them
    assert [run.record for run in again.runs] == [run.record for run in beside.runs]
    assert [(run.folder / ".hydra" / "config.yaml").stat().st_mtime_ns for run in beside.runs] == marks


def without_study(result):
    result.pop("study")
    result["hardware"].pop("cores")  # a job beside others has a share
    result["overrides"] = [text for text in result["overrides"] if not text.startswith("study_name=")]
    return json.loads(json.dumps(result))

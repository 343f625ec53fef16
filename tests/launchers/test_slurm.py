"""Jobs by SLURM, hydra/launcher=submitit_slurm, with stand-ins for its commands."""

import os
import signal
import threading
import time

import pytest

import slurm_stand_in
from composed import TINY
from headstart.cli import main
from same_run import figures

SLURM = "hydra/launcher=submitit_slurm"


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    slurm_stand_in.install(folder)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def test_each_job_is_a_job_of_slurms_array_and_a_failed_one_is_named(sweep, slurm):
    assert sweep(SLURM, "seed=0,1,2", "fit.fails_at=1") == 1
    assert sorted(sweep.seen) == [0, 2]
    assert len({job["pid"] for job in sweep.seen.values()} | {os.getpid()}) == 3
    assert "jobs that failed: 1;" in sweep.err
    assert any("seed=1-" in line and line.endswith("RuntimeError: boom") for line in sweep.err.splitlines())
    assert sorted(path.name for path in slurm.glob("state-*")) == ["state-1_0", "state-1_1", "state-1_2"]


@pytest.mark.slow
def test_a_preempted_job_is_queued_again_and_goes_on_from_its_last_checkpoint(tmp_path, monkeypatch, slurm):
    monkeypatch.chdir(tmp_path)
    words = [
        *(word for word in TINY if "max_epochs=4" not in word),
        "trainer.max_epochs=12",
        "mode=scratch",
        "logger=csv",
        "callbacks.figures=null",
    ]

    def preempt():
        while not list(tmp_path.glob("outputs/stopped/*/checkpoints/last.ckpt")):
            time.sleep(0.02)
        os.kill(slurm_stand_in.pid_of(slurm, "1"), signal.SIGUSR2)  # as sbatch's --signal of submitit

    other = threading.Thread(target=preempt, daemon=True)
    other.start()
    assert main(["-m", *words, "seed=0", "study_name=stopped", SLURM]) == 0
    assert main(["-m", *words, "seed=0", "study_name=whole"]) == 0
    (stopped,), (whole,) = (list(tmp_path.glob(f"outputs/{name}/*/result.json")) for name in ("stopped", "whole"))
    logs = "".join(path.read_text() for path in tmp_path.glob("outputs/stopped/.submitit/*/*.err"))
    assert "Requeued job 1" in logs + "".join(p.read_text() for p in tmp_path.glob("outputs/stopped/.submitit/*/*.out"))
    assert "going on from" in (stopped.parent / "headstart.log").read_text()
    assert (stopped.parent / "metrics.csv").read_bytes() == (whole.parent / "metrics.csv").read_bytes()
    first, second = figures(stopped.parent), figures(whole.parent)
    assert first["metrics"] == second["metrics"]

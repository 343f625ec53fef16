"""The SLURM job of a process, and what requeueing it says."""

import pytest

from headstart.system import slurm_job

NAMES = ("JOB_ID", "JOB_NAME", "ARRAY_JOB_ID", "ARRAY_TASK_ID", "RESTART_COUNT")


@pytest.fixture(autouse=True)
def no_slurm(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(f"SLURM_{name}", raising=False)


@pytest.mark.parametrize(
    ("variables", "job", "requeued"),
    [
        ({}, None, False),
        ({"JOB_ID": "7", "JOB_NAME": "train"}, "7", False),
        ({"JOB_ID": "7", "JOB_NAME": "train", "RESTART_COUNT": "1"}, "7", True),
        ({"JOB_ID": "7", "RESTART_COUNT": "0"}, "7", False),
        ({"JOB_ID": "9", "ARRAY_JOB_ID": "7", "ARRAY_TASK_ID": "2"}, "7_2", False),
        ({"JOB_ID": "7", "JOB_NAME": "bash", "RESTART_COUNT": "1"}, None, False),  # a shell
    ],
)
def test_a_job_is_known_by_its_variables(monkeypatch, variables, job, requeued):
    for name, value in variables.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert (slurm_job.job_id(), slurm_job.was_requeued()) == (job, requeued)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ('echo "$@" > asked', "SLURM runs job 7_2 again"),
        ("echo Job is not requeueable >&2; exit 1", "SLURM does not run job 7_2 again (Job is not requeueable)"),
        (None, "SLURM could not be asked to run job 7_2 again"),
    ],
)
def test_requeueing_says_what_came_of_it(monkeypatch, tmp_path, script, told):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "7")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    if script:
        program = tmp_path / "scontrol"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    assert slurm_job.requeue().startswith(told)
    if script and "asked" in script:
        assert (tmp_path / "asked").read_text() == "requeue 7_2\n"

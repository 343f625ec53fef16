"""A run that a signal stopped, and that went on, equals the run that nobody stopped."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from composed import TINY
from killed import command, said
from same_run import assert_same, run_of

RUN = [  # 12 steps in 3 epochs; last.ckpt is written at the end alone, but for a signal
    *TINY, "trainer.max_epochs=3", "mode=scratch", "target.shots=6", "callbacks.figures=null",
    "trainer.limit_val_batches=3", "trainer.limit_test_batches=2", "callbacks.checkpoint.min_interval_s=1000",
    "+callbacks.stop._target_=resume_plugins.Stop",
]  # fmt: skip
TWO = ("trainer=ddp_cpu", "target.batch_size=8")
WORKERS = ("target.num_workers=2",)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of the run that nobody stops, by its further settings."""
    made = {}

    def of(*overrides):
        if overrides not in made:
            place = tmp_path_factory.mktemp("whole")
            assert command(place, *RUN, *overrides) == 0, said(place)
            made[overrides] = run_of(place)
        return made[overrides]

    return of


def last_step(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]


def own_lines(place):
    return [line for line in said(place).splitlines() if line.startswith("headstart: ") and "is given" not in line]


slow = pytest.mark.slow


@pytest.mark.parametrize(
    ("number", "code", "by", "hook", "step", "saved", "overrides"),
    [
        (signal.SIGTERM, 143, "SIGTERM", "on_train_batch_start", 5, 6, ()),
        pytest.param(signal.SIGTERM, 143, "SIGTERM", "on_train_batch_start", 5, 6, WORKERS, marks=slow),
        pytest.param(signal.SIGINT, 130, "Ctrl-C", "on_validation_start", 8, 8, (), marks=slow),
        pytest.param(signal.SIGHUP, 129, "SIGHUP", "on_before_optimizer_step", 0, 1, (), marks=slow),
        pytest.param(signal.SIGTERM, 143, "SIGTERM", "on_train_epoch_end", 12, 12, (), marks=slow),
        pytest.param(
            signal.SIGTERM,
            143,
            "SIGTERM",
            "on_train_batch_end",
            2,
            2,
            ("trainer.accumulate_grad_batches=2",),
            marks=slow,
        ),
    ],
)
def test_a_signal_saves_the_step_says_a_line_and_the_run_goes_on_from_there(
    whole, tmp_path, number, code, by, hook, step, saved, overrides
):
    assert command(tmp_path, *RUN, *overrides, signal=(hook, step, number)) == code, said(tmp_path)
    folder = run_of(tmp_path)
    place = folder.relative_to(tmp_path)
    assert own_lines(tmp_path) == [f"headstart: stopped by {by}; to go on: headstart resume={place}"]
    assert not (folder / "result.json").exists()
    assert not (folder / "error.txt").exists()
    assert last_step(folder) == saved
    assert command(tmp_path, f"resume={place}") == 0, said(tmp_path)
    assert_same(folder, whole(*overrides))


@slow
def test_before_the_first_step_a_signal_ends_the_run_at_once_and_leaves_no_checkpoint(tmp_path):
    assert command(tmp_path, *RUN, signal=("on_train_start", 0, signal.SIGTERM)) == 143
    assert not (run_of(tmp_path) / "checkpoints" / "last.ckpt").exists()


@slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_all_ranks_stop_at_the_same_step_where_the_command_is_signalled(whole, tmp_path, number):
    assert command(tmp_path, *RUN, *TWO, signal=("on_train_batch_start", 5, number)) == 128 + number, said(tmp_path)
    folder = run_of(tmp_path)
    (line,) = own_lines(tmp_path)
    assert line.endswith(f"to go on: headstart resume={folder.relative_to(tmp_path)}")
    assert 6 <= last_step(folder) <= 8
    assert command(tmp_path, *RUN, *TWO, "resume=auto") == 0, said(tmp_path)
    assert_same(folder, whole(*TWO))


@pytest.mark.slow
def test_a_sweep_stops_with_the_job_and_resume_auto_finishes_it(whole, tmp_path):
    sweep = ["-m", *RUN, "seed=0,1"]
    assert command(tmp_path, *sweep, signal=("on_train_batch_start", 5, signal.SIGTERM)) == 143, said(tmp_path)
    assert own_lines(tmp_path) == ["headstart: stopped by SIGTERM; to go on, give the same command with resume=auto"]
    assert len([*tmp_path.glob("outputs/*/*/.hydra")]) == 1
    assert command(tmp_path, *sweep, "resume=auto") == 0, said(tmp_path)
    runs = {json.loads(file.read_text())["seed"]: file.parent for file in tmp_path.glob("outputs/*/*/result.json")}
    assert sorted(runs) == [0, 1]
    for name in ("metrics.csv", "answers/val.npz"):
        assert (runs[0] / name).read_bytes() == (whole() / name).read_bytes()


@slow
def test_slurm_is_asked_to_run_the_job_again_and_then_it_goes_on_by_itself(whole, tmp_path):
    program = tmp_path / "bin" / "scontrol"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$@" > asked\n')
    program.chmod(0o755)
    env = {"SLURM_JOB_ID": "12", "SLURM_JOB_NAME": "train", "PATH": f"{program.parent}:/usr/bin:/bin"}
    code = command(tmp_path, *RUN, signal=("on_train_batch_start", 5, signal.SIGUSR1), env=env)
    assert code == 128 + signal.SIGUSR1, said(tmp_path)
    (line,) = own_lines(tmp_path)
    assert line.startswith("headstart: stopped by SIGUSR1; SLURM runs job 12 again; to go on: ")
    assert (tmp_path / "asked").read_text() == "requeue 12\n"
    assert last_step(run_of(tmp_path)) == 6
    assert command(tmp_path, *RUN, env=env | {"SLURM_RESTART_COUNT": "1"}) == 0, said(tmp_path)
    assert "going on from" in said(tmp_path)
    assert_same(run_of(tmp_path), whole())


@slow
def test_a_signal_to_the_whole_process_group_spares_the_workers_of_the_step(whole, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "headstart", *RUN[:-1], "target.num_workers=2", "trainer.max_epochs=400"],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not [*tmp_path.glob("outputs/runs/*/checkpoints/best.ckpt")] and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    os.killpg(process.pid, signal.SIGTERM)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 143, told
    assert "stopped by SIGTERM" in told
    assert last_step(run_of(tmp_path)) > 0

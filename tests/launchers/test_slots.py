"""Jobs in slots of a machine's devices, by hydra/launcher=slots."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import side_jobs
from headstart.cli import main
from headstart.data.loading.worker_processes import cores
from headstart.distributed.job_slots import Slot, job_slots
from headstart.distributed.rank_launcher import threads_of_rank
from headstart.system.core_count import usable_cores
from headstart.types import UserError

SLOTS = "hydra/launcher=slots"


def overlap(first, second):
    return max(first["began"], second["began"]) < min(first["ended"], second["ended"])


def test_each_job_has_a_device_of_its_own_and_no_two_have_the_same_at_once(sweep, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS")
    words = ["hydra.launcher.devices=[3,5]", "hydra.launcher.cores=6"]
    assert sweep(SLOTS, *words, "seed=0,1,2,3", "fit.seconds=1") == 0, sweep.err
    seen = sweep.seen
    assert {job["CUDA_VISIBLE_DEVICES"] for job in seen.values()} == {"3", "5"}
    pairs = [(a, b) for a in seen for b in seen if a < b and overlap(seen[a], seen[b])]
    assert pairs  # side by side
    assert all(seen[a]["CUDA_VISIBLE_DEVICES"] != seen[b]["CUDA_VISIBLE_DEVICES"] for a, b in pairs)
    assert {(job["OMP_NUM_THREADS"], job["HEADSTART_CORES"]) for job in seen.values()} == {("3", "3")}
    assert len({job["pid"] for job in seen.values()}) == 2  # a process a slot, for all of its jobs
    assert {os.getpid()} & {job["pid"] for job in seen.values()} == set()


@pytest.mark.parametrize(
    ("how", "told"),
    [pytest.param("bug", "RuntimeError: boom", marks=pytest.mark.slow), ("killed", "ended from outside")],
)
def test_a_failed_job_is_named_at_the_end_and_the_others_run(sweep, how, told):
    words = ["hydra.launcher.jobs=2", "seed=0,1,2,3", "fit.fails_at=1", f"fit.how={how}"]
    assert sweep(SLOTS, *words) == 1
    assert sorted(sweep.seen) == [0, 2, 3]
    lines = sweep.err.splitlines()
    assert sum("jobs that failed: 1;" in line for line in lines) == 1
    assert any("seed=1-" in line and told in line for line in lines)
    assert any("again: headstart -m" in line and "seed=1" in line for line in lines)
    assert "headstart: error" not in sweep.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["hydra.launcher.devices=[0,0]"], "lists each GPU once, got 0, 0"),
        (["hydra.launcher.devices=[0,1]", "hydra.launcher.jobs=3"], "3 jobs at once with 1 GPUs each need 3 GPUs"),
        (["hydra.launcher.devices=[0,1]", "hydra.launcher.devices_per_job=3"], "need 3 GPUs, got 0, 1"),
        (["hydra.launcher.devices=0"], "must be auto or a list, got 0"),
        (["hydra.launcher.jobs=0"], "hydra.launcher.jobs must be a whole number from 1 on, got 0"),
        (["hydra.launcher.cores=many"], "hydra.launcher.cores must be"),
        (["hydra.launcher.devises=[0]"], "devises"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(sweep, words, told):
    assert sweep(SLOTS, *words, "seed=0,1") == 2, sweep.err
    assert told in sweep.err
    assert sweep.err.count("\n") == 1
    assert list(sweep.folder.glob("outputs/*")) == []


def slots(**settings):
    asked = {"devices": [], "devices_per_job": 1, "jobs": "auto", "cores": 8, **settings}
    return [(slot.devices, slot.cores) for slot in job_slots(**asked)]


def test_devices_and_cores_are_shared_out(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert slots(devices=[0, 1, 2], cores=8) == [(("0",), 2), (("1",), 2), (("2",), 2)]
    assert slots(devices=[4, 5, 6, 7, 8], devices_per_job=2, cores=8) == [(("4", "5"), 4), (("6", "7"), 4)]
    assert slots(devices=[0, 1, 2], jobs=1) == [(("0",), 8)]
    assert slots(jobs=3) == [((), 2)] * 3  # no GPU at all is seen
    assert slots(jobs="auto", cores=2) == [((), 1)] * 2
    assert slots(jobs=16, cores=2) == [((), 1)] * 16
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a, MIG-b,-1,3")
    assert slots(devices="auto") == [(("GPU-a",), 4), (("MIG-b",), 4)]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert slots(devices="auto", jobs=2) == [(None, 4)] * 2
    with pytest.raises(UserError, match="of those in CUDA_VISIBLE_DEVICES=, got 1 besides"):
        slots(devices=[1])


def test_threads_are_capped_where_the_user_does_not_say_how_many(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    environment = Slot(("2",), 3).environment
    assert "OMP_NUM_THREADS" not in environment
    assert environment["MKL_NUM_THREADS"] == environment["HEADSTART_CORES"] == "3"


def test_a_job_has_its_share_of_the_cores_for_workers_and_ranks(monkeypatch):
    monkeypatch.setenv("HEADSTART_CORES", "6")
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    assert usable_cores() == 6
    assert cores(2) == 3  # of loader workers of one of two ranks
    assert threads_of_rank(2) == "3"
    monkeypatch.delenv("HEADSTART_CORES")
    assert threads_of_rank(2) == "6"  # as the user says


def command(folder, *words):
    path = os.pathsep.join([str(Path(main.__code__.co_filename).parents[2]), str(Path(side_jobs.__file__).parent)])
    return subprocess.Popen(
        [sys.executable, "-m", "headstart", "--config-path", str(folder / "conf"), "-m", *words],
        cwd=folder, env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job's children ignore Ctrl-C
    )  # fmt: skip


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def processes_below(folder):
    """Other processes that live and work in the folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            state = (place / "stat").read_text().rpartition(")")[2].split()[0]
            if state != "Z" and (place / "cwd").readlink() == folder and int(place.name) != os.getpid():
                found.append(int(place.name))
        except OSError:  # it is gone
            continue
    return found


@pytest.mark.parametrize(
    ("launcher", "number", "code"),
    [
        ("slots", signal.SIGINT, 130),
        pytest.param("slots", signal.SIGTERM, 143, marks=pytest.mark.slow),
        pytest.param("slots", signal.SIGKILL, -9, marks=pytest.mark.slow),  # of joblib, processes end their jobs first
        pytest.param("joblib", signal.SIGINT, 130, marks=pytest.mark.slow),
        pytest.param("joblib", signal.SIGTERM, 143, marks=pytest.mark.slow),
    ],
)
def test_no_process_stays_when_the_command_is_stopped(sweep, launcher, number, code):
    jobs = {"slots": "hydra.launcher.jobs=2", "joblib": "hydra.launcher.n_jobs=2"}[launcher]
    process = command(sweep.folder, f"hydra/launcher={launcher}", jobs, "seed=0,1,2", "fit.seconds=300")
    wait_for(lambda: len(list(sweep.folder.glob("outputs/*/*/began"))) == 2)
    assert len(processes_below(sweep.folder)) >= 3
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does it
    else:
        process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    wait_for(lambda: not processes_below(sweep.folder), seconds=20)

"""The ranks of a job start as one, and end as one."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headstart.distributed import rank_launcher
from headstart.distributed.rank_launcher import RankError, run_ranks
from headstart.types import UserError

HYDRA = "hydra: {runtime: {output_dir: /elsewhere}, job_logging: {version: 1, root: {level: INFO}}, verbose: false}"
RUN = (
    "import sys, pathlib; from headstart.distributed.rank_launcher import run_ranks;"
    "run_ranks(pathlib.Path(sys.argv[1]), 2, changes={})"
)
TESTS = Path(__file__).parents[1] / "helpers"


@pytest.fixture
def job(tmp_path, monkeypatch):
    """The folder of a job whose task is one of rank_tasks."""
    monkeypatch.chdir(tmp_path)

    def made(task, **settings):
        node = {"_target_": f"rank_tasks.{task}", **settings.pop("of_task", {})}
        folder = tmp_path / "outputs" / "study" / "run"
        (folder / ".hydra").mkdir(parents=True)
        config = {"task": "stub", "stub": node, "seed": 3, "run_dir": "${hydra:runtime.output_dir}", **settings}
        (folder / ".hydra" / "config.yaml").write_text(json.dumps(config))
        (folder / ".hydra" / "hydra.yaml").write_text(HYDRA)
        return folder

    return made


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def pids(folder, count=2, seconds=30.0):
    """Those of the ranks, once all have begun."""
    deadline = time.monotonic() + seconds
    files = [folder / f"pid{number}" for number in range(count)]
    while not all(file.exists() for file in files):
        assert time.monotonic() < deadline, "the ranks have not begun"
        time.sleep(0.02)
    return [int(file.read_text()) for file in files]


def gone_within(started, seconds):
    deadline = time.monotonic() + seconds
    while any(lives(pid) for pid in started) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(lives(pid) for pid in started)


def test_every_rank_reads_the_folder_and_knows_its_place_its_path_and_its_environment(job, monkeypatch, capfd):
    folder = job("says_where_it_is")
    monkeypatch.setenv("SWEEP", "of the parent")
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(sys, "argv", ["headstart", "-m", "seed=1,2"])
    paths = list(dict.fromkeys(path or str(Path.cwd()) for path in sys.path))  # Python drops what comes twice
    ports = set()
    for _ in range(2):
        run_ranks(folder, 2, changes={"seed": 5})
        seen = [json.loads((folder / f"seen{number}.json").read_text()) for number in range(2)]
        assert [one["LOCAL_RANK"] for one in seen] == ["0", "1"]
        for one in seen:
            assert (one["WORLD_SIZE"], one["NODE_RANK"], one["MASTER_ADDR"]) == ("2", "0", "127.0.0.1")
            assert (one["seed"], one["folder"], one["SWEEP"]) == (5, str(folder), "of the parent")
            assert one["cwd"] == str(Path.cwd())
            assert "seed=1,2" not in one["argv"]
            assert paths == one["path"][: len(paths)]
            assert int(one["OMP_NUM_THREADS"]) == max(1, len(os.sched_getaffinity(0)) // 2)
        assert seen[0]["MASTER_PORT"] == seen[1]["MASTER_PORT"]
        ports.add(seen[0]["MASTER_PORT"])
    assert len(ports) == 2
    assert "MASTER_PORT" not in os.environ
    assert "rank 0 prints" in capfd.readouterr().out
    assert (folder / "rank1.log").read_text() == "rank 1 prints\n"
    assert not (folder / "rank0.log").exists()


@pytest.mark.parametrize("waiting", [pytest.param("sleep", marks=pytest.mark.slow), "collective"])
def test_when_a_rank_fails_the_others_end_and_its_own_words_and_trace_come_out(job, monkeypatch, waiting):
    monkeypatch.setattr(rank_launcher, "GRACE_S", 0.5)
    folder = job("fails", waiting=waiting, of_task={"kind": "bug", "at": 1})
    with pytest.raises(RankError, match=r"^rank 1 of 2: RuntimeError: boom$") as error:
        run_ranks(folder, 2, changes={})
    assert 'raise RuntimeError("boom")' in str(error.value.__cause__)
    assert gone_within(pids(folder), 0.1)
    assert 'raise RuntimeError("boom")' in (folder / "rank1.log").read_text()


def test_a_user_s_mistake_in_a_rank_stays_one(job, monkeypatch):
    monkeypatch.setattr(rank_launcher, "GRACE_S", 0.5)
    folder = job("fails", waiting="sleep", of_task={"kind": "user", "at": 0})
    with pytest.raises(UserError, match=r"^expected rain, got sun; try tomorrow$"):
        run_ranks(folder, 2, changes={})


@pytest.mark.slow
def test_a_rank_that_ends_without_a_word_is_named_with_its_exit_code_and_its_output(job, monkeypatch):
    monkeypatch.setattr(rank_launcher, "GRACE_S", 0.5)
    folder = job("fails", waiting="sleep", of_task={"kind": "code", "at": 1})
    with pytest.raises(RankError, match=r"rank 1 of 2 ended with exit code 3 .*rank1\.log"):
        run_ranks(folder, 2, changes={})


def test_a_killed_rank_is_named_with_the_signal_though_the_other_complains_first(job, tmp_path):
    folder = job("fails", waiting="collective", of_task={"kind": "killed", "at": 1})
    parent = started(RUN, folder)
    first, second = pids(folder)
    time.sleep(0.5)  # rank 0 is in its collective
    os.kill(second, signal.SIGKILL)
    assert "RankError: rank 1 of 2 was ended from outside by SIGKILL" in parent.communicate(timeout=30)[1]
    assert parent.returncode == 1
    assert gone_within([first], 0.1)


def started(program, *arguments):
    """A process that runs Python text; its tests are importable."""
    paths = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)], env=os.environ | {"PYTHONPATH": paths},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_when_the_parent_is_killed_the_ranks_end_whether_they_sleep_or_wait_for_each_other(job):
    folder = job("stays")
    parent = started(RUN, folder)
    alive = pids(folder)
    time.sleep(0.5)
    assert all(lives(pid) for pid in alive)
    parent.kill()
    assert gone_within(alive, 2)
    parent.communicate()


def test_ctrl_c_ends_the_ranks_and_the_command_with_130(job, tmp_path):
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "config.yaml").write_text(
        "task: stub\nstub: {_target_: rank_tasks.starts}\nseed: 0\nrun_dir: ${hydra:runtime.output_dir}\n"
        "hydra: {run: {dir: run}}\n"
    )
    program = (  # a shell that starts the tests in the background lets them ignore Ctrl-C, and children inherit that
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from headstart.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    parent = started(program, "--config-path", conf)
    alive = pids(tmp_path / "run")
    time.sleep(0.5)
    parent.send_signal(signal.SIGINT)
    said = parent.communicate(timeout=30)[1]
    assert parent.returncode == 130, said
    assert said.strip().endswith("headstart: stopped by Ctrl-C")
    assert gone_within(alive, 0.1)

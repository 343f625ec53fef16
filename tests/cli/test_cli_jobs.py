"""What a user sees, and what stays on disk, when jobs fail."""

import os
import shlex
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

import stub_jobs
from headstart.cli import main
from headstart.cli.run_job import FAILURES
from headstart.cli.sweeps import live_table
from headstart.cli.sweeps.jobs_elsewhere import failures_elsewhere
from headstart.report import multirun_hook
from headstart.types import UserError

SOURCE = Path(main.__code__.co_filename).parents[2]


def error_files(command):
    return sorted(command.folder.glob("outputs/*/*/error.txt"))


def test_a_bug_is_one_line_and_its_trace_a_file(command):
    assert command("+fit.fails_at=0") == 1
    first, second = command.err.splitlines()
    (file,) = error_files(command)
    assert first == "headstart: error: RuntimeError: boom"
    assert second == f"headstart: the full trace is in {file.relative_to(command.folder)}; or run with --trace"
    assert "Traceback" in file.read_text()
    assert "in fit" in file.read_text()


def test_a_users_mistake_is_its_message_alone(command):
    assert command("+fit.fails_at=0", "+fit.how=user") == 2
    assert command.err == "headstart: error: expected rain, got sun; try tomorrow\n"
    assert len(error_files(command)) == 1


def test_what_a_constructor_says_is_told_without_hydras_wrapping(command):
    assert command("task=builds", "model=strict") == 2
    assert command.err == "headstart: error: user\n"
    assert command("task=builds", "model=strict", "model.why=rust") == 1
    assert command.err.startswith("headstart: error: ValueError: rust (while making model)\n")


def test_jobs_that_failed_in_other_processes_are_seen_from_their_files(tmp_path):
    FAILURES.clear()
    since_ns = time.time_ns()
    for name, age_s in (("old", 60), ("new", 0)):
        file = tmp_path / name / "error.txt"
        file.parent.mkdir()
        file.write_text("Traceback ...\nRuntimeError: boom\n")
        os.utime(file, ns=(since_ns - age_s * 10**9,) * 2)
    (failure,) = failures_elsewhere(tmp_path, since_ns)
    assert (failure.folder, failure.message) == (tmp_path / "new", "RuntimeError: boom")


def test_trace_shows_a_jobs_trace(command):
    assert command("+fit.fails_at=0", "--trace") == 1
    assert command.err.count("Traceback") == 1
    assert "in fit" in command.err


def test_the_error_file_goes_when_the_job_begins_anew(command, monkeypatch):
    assert command("+fit.fails_at=0") == 1
    (file,) = error_files(command)
    assert command("+fit.fails_at=0", "--cfg", "job") == 0
    assert file.exists()
    monkeypatch.setattr(stub_jobs, "fit", lambda **_: 0)  # the bug is mended
    assert command("+fit.fails_at=0") == 0
    assert not file.exists()


def test_the_other_jobs_of_a_sweep_go_on(command):
    assert command("-m", "seed=0,1,2", "+fit.fails_at=1") == 1
    assert [cfg.seed for cfg in stub_jobs.CALLS] == [0, 1, 2]
    assert len(error_files(command)) == 1
    lines = command.err.splitlines()
    assert lines[0].startswith("headstart: failed: outputs/")
    assert lines[-3].startswith("headstart: jobs that failed: 1;")
    assert lines[-2].endswith("RuntimeError: boom")
    assert "fit.fails_at=1" in lines[-1]  # the command that runs it again
    assert "seed=1" in lines[-1]
    assert "Error executing job" not in command.err
    assert "Traceback" not in command.err


def test_a_study_without_m_is_a_sweep_too(command):
    assert command("study=two", "+fit.fails_at=1") == 1
    assert len(command.runs) == 4
    assert "jobs that failed: 2" in command.err


REPORTING = "+hydra.callbacks.report={_target_: headstart.report.multirun_hook.ReportAtEnd}"


@pytest.mark.parametrize("fails_at", [None, 1])
def test_a_sweep_is_reported_once_whether_or_not_a_job_failed(command, monkeypatch, fails_at):
    folders = []
    monkeypatch.setattr(
        multirun_hook, "report_at_end", lambda folder: (folders.append(folder), multirun_hook.written.append(folder))
    )
    code = command("-m", "seed=0,1", REPORTING, *([f"+fit.fails_at={fails_at}"] if fails_at else []))
    assert code == (1 if fails_at else 0), command.err
    (folder,) = folders
    assert str(folder).startswith("outputs/sweep-seed-")


def test_the_table_of_the_jobs_looks_into_the_folder_that_the_sweep_has_got(command, monkeypatch):
    """A sweep without a name of its own has its folder's name only once Hydra has begun."""
    given, folders = [], []
    monkeypatch.setattr(live_table, "live_table", lambda sweep, **_: nullcontext(given.append(sweep)))

    def report(folder):
        folders.append((given[0](), folder))
        multirun_hook.written.append(folder)

    monkeypatch.setattr(multirun_hook, "report_at_end", report)
    assert command("-m", "seed=0,1", "+live_table=true", REPORTING) == 0, command.err
    ((shown, folder),) = folders
    assert shown == command.folder / folder


def test_a_failed_report_is_an_error_of_the_command(command, monkeypatch):
    monkeypatch.setattr(multirun_hook, "report_at_end", lambda _: multirun_hook.failures.append(ValueError("no ink")))
    assert command("-m", "seed=0,1", REPORTING) == 1
    assert "no report of outputs/sweep-seed-" in command.err
    assert command.err.endswith("ValueError: no ink\n")
    monkeypatch.setattr(multirun_hook, "report_at_end", lambda folder: multirun_hook.written.append(folder))
    assert command("-m", "seed=0,1", REPORTING) == 0  # what went before is forgotten


@pytest.mark.parametrize("task", ["stopped", "closed"])
def test_ctrl_c_is_one_line_and_130(command, task):
    assert command(f"task={task}") == 130
    assert command.err == "headstart: stopped by Ctrl-C\n"


def test_the_config_of_a_job_keeps_its_interpolations(command):
    assert command("model.depth=${oc.decode:'3'}") == 0
    assert command.cfg.model.depth == 3


def test_flags_stand_anywhere(command):
    assert command("seed=1", "-m", "mode=a,b") == 0
    assert len(command.runs) == 2


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (["--cfg", "job"], "seed: 0"),
        (["-c", "job", "-p", "model"], "depth: 1"),
        (["--cfg", "hydra"], "runtime:"),
        (["--cfg", "all"], "seed: 0"),
        (["--info", "defaults"], "model/small"),
        (["seed=1", "--info", "searchpath"], "conf"),
        (["--hydra-help"], "--multirun"),
        (["--shell-completion", "install=bash"], "complete"),
    ],
)
def test_hydras_own_flags_work(command, argv, shown):
    assert command(*argv) == 0
    assert shown in command.out
    assert command.made == []


def test_another_config_name_works(command):
    command.write("other.yaml", command.conf.joinpath("config.yaml").read_text().replace("seed: 0", "seed: 7"))
    assert command("--config-name", "other") == 0
    assert command.cfg.seed == 7


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--cfg"], "--cfg needs a value"),
        (["--cfg", "jb"], "did you mean --cfg job"),
        (["--resolve"], "--cfg job --resolve"),
        (["-m", "--cfg", "job"], "only one of"),
        (["--config-dir", "nowhere"], "nowhere"),
        (["--config-name", "nowhere"], "nowhere"),
        (["--cgf", "job"], "did you mean --cfg"),
    ],
)
def test_a_wrong_flag_is_one_line(command, argv, said):
    assert command(*argv) == 2
    assert command.err.count("\n") == 1
    assert said in command.err
    assert command.made == []


def test_the_environment_and_the_arguments_of_the_process_are_left_as_they_were(command):
    before = dict(os.environ), list(sys.argv), list(sys.path), sys.stderr
    assert command("+fit.fails_at=0") == 1
    assert (dict(os.environ), list(sys.argv), list(sys.path), sys.stderr) == before


def test_version_is_headstarts(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == "headstart 0.1.0\n"


def test_python_m_headstart_finds_a_task_in_the_working_folder(command, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (Path(stub_jobs.__file__).parent, SOURCE))))
    (command.folder / "my_task.py").write_text("def hello(*, cfg):\n    print('hello', cfg.seed)\n")
    command.write("task/hello.yaml", "# @package _global_\ntask: hello\nhello: {_target_: my_task.hello}\n")
    script = [sys.executable, "-c", "import sys; from headstart.cli import main; sys.exit(main())"]
    done = subprocess.run(
        [*script, "--config-path", "conf", "task=hello", "seed=4"],
        cwd=command.folder,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello 4\n", "")
    module = [sys.executable, "-P", "-m", "headstart", "--config-path", "conf", "task=hello", "seed=x"]
    done = subprocess.run(module, cwd=command.folder, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("headstart: error: seed must be")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("${hydra:job.name}", "model.depth must be a whole number at least 1, got headstart (stub_jobs.Model)"),
        ("${oc.env:NO_SUCH_VARIABLE}", "Environment variable 'NO_SUCH_VARIABLE' not found"),
    ],
)
def test_a_value_that_only_the_job_knows_is_checked_before_its_task_begins(command, value, said):
    assert command("task=builds", f"model.depth={value}") == 2
    assert said in command.err
    assert command.err.count("\n") == 1
    assert stub_jobs.CALLS == []


def test_a_sweep_tells_the_command_that_runs_a_failed_one_again(command):
    assert command("-m", "seed=0,1", "mode=a", "+fit.fails_at=1") == 1
    (sweep,) = (command.folder / "outputs").iterdir()
    (told,) = [line for line in command.err.splitlines() if "again: " in line]
    words = shlex.split(told.partition("again: ")[2])
    assert words[:2] == ["headstart", "-m"]
    assert {"seed=1", f"study_name={sweep.name}"} < set(words)


def test_a_job_that_fails_is_tried_again_as_often_as_retry_says_and_a_mistake_is_not(command, monkeypatch):
    calls = []

    def fails_twice(*, cfg):
        calls.append((cfg.get("resume"), cfg.seed))
        if len(calls) < 3:
            raise RuntimeError("the network is gone")
        return 0

    monkeypatch.setattr(stub_jobs, "fit", fails_twice)
    assert command("+retry=2") == 0, command.err
    assert calls == [(None, 0), ("auto", 0), ("auto", 0)]
    calls.clear()
    assert command("+retry=1") == 1
    assert len(calls) == 2
    calls.clear()

    def mistaken(*, cfg):
        calls.append(cfg.seed)
        raise UserError("no such photo")

    monkeypatch.setattr(stub_jobs, "fit", mistaken)
    assert command("+retry=5") == 2
    assert len(calls) == 1

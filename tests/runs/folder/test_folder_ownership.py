"""A run's folder is written by that run alone, and what lies there is what it wrote."""

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from headstart.cli import main
from headstart.runs.folder import training_lock
from headstart.runs.folder.folder_mark import write_mark
from headstart.runs.folder.run_folder import finished, result_damage
from small_run import RUN


@pytest.fixture
def mine(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return Path("mine")


@pytest.fixture
def empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def content(folder):
    """The bytes of all files, but for the log that each command adds its lines to."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "headstart.log"
    }


def result(folder):
    return json.loads((folder / "result.json").read_text())


def error(capfd):
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("headstart: error: ")]
    return line


# ------------------------------------------------------------------ whose folder it is


def test_other_settings_in_a_finished_run_s_folder_are_refused_by_name_and_nothing_is_touched(mine, capfd):
    before = content(mine)
    assert main([*RUN, "seed=1", "optimizer.lr=0.5"]) == 2
    line = error(capfd)
    assert (
        "mine holds a finished run of other settings (optimizer.lr 0.002 there, 0.5 here, seed 0 there, 1 here)" in line
    )
    assert "hydra.run.dir" in line
    assert "rerun=true" in line
    assert content(mine) == before


def test_a_command_that_is_given_again_leaves_every_file_of_the_finished_run(mine, capfd):
    before = content(mine)
    assert main([*RUN, "resume=auto"]) == 0
    assert "mine is finished, val/accuracy" in capfd.readouterr().err
    assert content(mine) == before


def test_rerun_puts_a_run_of_other_settings_in_the_place_of_the_finished_one(mine):
    (mine / "checkpoints" / "precious.pt").write_bytes(b"mine")
    (mine / "notes.txt").write_text("mine")
    assert main([*RUN, "seed=1", "rerun=true"]) == 0
    assert result(mine)["seed"] == 1
    assert main([*RUN, "seed=1"]) == 0
    assert (mine / "checkpoints" / "precious.pt").read_bytes() == b"mine"
    assert (mine / "notes.txt").read_text() == "mine"


def test_a_rerun_that_was_stopped_before_it_began_is_not_finished_by_the_earlier_result(mine):
    write_mark(mine, "00000000", asked="00000000")  # as a run of other settings with rerun=true does
    assert main([*RUN, "seed=1"]) == 2  # that one's place
    write_mark(mine, *[_hash(["seed=1"])], asked=_hash(["seed=1"]))
    assert main([*RUN, "seed=1"]) == 0
    assert result(mine)["seed"] == 1


def _hash(overrides):
    from hydra import compose, initialize_config_dir

    from composed import CONF
    from headstart.runs.folder.run_naming import config_hash

    with initialize_config_dir(str(CONF), version_base="1.3"):
        return config_hash(compose("config", overrides=[*RUN, *overrides]))


@pytest.mark.parametrize("file", ["checkpoints/precious.pt", "metrics.csv", "thesis.tex"])
def test_a_folder_that_is_no_run_s_is_refused_and_nothing_is_touched(empty, capfd, file):
    path = Path("mine", file)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"precious")
    for more in ([], ["rerun=true"]):
        assert main([*RUN, *more]) == 2
        line = error(capfd)
        assert f"mine is no run's folder: it holds {path.relative_to('mine').parts[0]} and no run.json" in line
        assert "hydra.run.dir=<folder>" in line
    assert content(empty) == {f"mine/{file}": b"precious"}


def test_a_command_that_was_killed_while_it_marked_the_folder_leaves_it_to_the_next_one(empty):
    Path("mine").mkdir()
    Path("mine", ".run.json.3opk4cxu").write_text('{"ha')
    assert main(RUN) == 0
    assert {"result.json", "run.json"} <= content(Path("mine")).keys()


def test_a_failed_run_that_left_nothing_makes_room_for_the_mended_command(empty):
    assert main([*RUN, "backbone.keep=9"]) == 2
    assert Path("mine", "error.txt").exists()
    assert main(RUN) == 0
    assert {"result.json", "run.json"} <= content(Path("mine")).keys()
    assert not Path("mine", "error.txt").exists()


def test_two_jobs_of_a_sweep_with_one_folder_are_refused_before_anything_is_made(empty, capfd):
    sweep = [one for one in RUN if not one.startswith("hydra.")]
    assert main(["-m", *sweep, "seed=0,1", "hydra.sweep.dir=study", "hydra.sweep.subdir=same"]) == 2
    assert "two jobs of the sweep have other settings and the same folder, study/same" in error(capfd)
    assert not [path for path in empty.rglob("*") if path.is_file()]


@pytest.mark.slow
def test_a_sweep_by_numbers_finds_its_runs_again_and_refuses_another_sweep_s(empty, capfd):
    sweep = [one for one in RUN if not one.startswith("hydra.")]
    numbered = ["-m", *sweep, "hydra.sweep.dir=study", "hydra.sweep.subdir='${hydra:job.num}'"]
    assert main([*numbered, "seed=0,1"]) == 0
    assert [result(Path("study", name))["seed"] for name in "01"] == [0, 1]
    assert all(
        Path("study", name, ".hydra", "config.yaml").is_file() for name in "01"
    )  # without it no task reads a run
    capfd.readouterr()
    assert main([*numbered, "seed=0,1"]) == 0
    assert capfd.readouterr().err.count("is finished, val/accuracy") == 2
    before = content(empty)
    assert main([*numbered, "seed=1,0"]) == 2
    assert "study/0 holds a finished run of other settings (seed 0 there, 1 here)" in error(capfd)
    left = content(empty)
    del left["study/multirun.yaml"], before["study/multirun.yaml"]  # Hydra's, of the last sweep that was asked for
    assert left == before


@pytest.mark.slow
def test_a_folder_of_before_there_were_marks_and_digests_is_known_by_its_result_and_its_checkpoint(mine, capfd):
    (mine / "run.json").unlink()
    old = {key: value for key, value in result(mine).items() if key != "files"}
    (mine / "result.json").write_text(json.dumps(old))
    assert main(RUN) == 0
    assert "mine is finished" in capfd.readouterr().err
    assert main([*RUN, "seed=1"]) == 2
    assert "finished run of other settings (seed 0 there, 1 here)" in error(capfd)
    assert main(["task=evaluate", "evaluate.run_dir=mine"]) == 0
    (mine / "result.json").unlink()
    assert main([*RUN, "seed=1"]) == 2
    assert "holds an unfinished run of other settings" in error(capfd)
    assert main([*RUN, "resume=auto"]) == 0
    assert "going on from" in capfd.readouterr().err


# ------------------------------------------------------------------ two commands at once


class ReleasesWhenItSays(logging.LoggerAdapter):
    """A log that lets go of a lock after a line."""

    def __init__(self, text, lock):
        super().__init__(training_lock.log, {})
        self.text, self.lock = text, lock

    def info(self, message, *arguments):
        super().info(message, *arguments)
        if message.startswith(self.text):
            self.lock.release()


def test_a_second_command_says_who_trains_and_takes_the_finished_result(mine, capfd, monkeypatch):
    lock = FileLock(mine / ".lock")
    lock.acquire()
    before = content(mine)
    monkeypatch.setattr(training_lock, "log", ReleasesWhenItSays("waiting for", lock))
    assert main(RUN) == 0
    said = capfd.readouterr().err
    assert f"waiting for the run mine, which process {os.getpid()} on " in said
    assert said.index("waiting for") < said.index("mine is finished")
    assert content(mine) == before


def test_other_settings_in_a_folder_where_a_run_is_training_are_refused_at_once(empty, capfd):
    write_mark(Path("mine"), "00000000", asked="00000000")
    with FileLock(Path("mine", ".lock")):
        assert main(RUN) == 2
    assert f"mine is being trained by process {os.getpid()} on " in error(capfd)
    assert main(RUN) == 0  # that one left nothing behind


@pytest.mark.slow
def test_two_commands_that_start_at_once_train_one_run_whose_curve_is_its_own(empty):
    command = [sys.executable, "-m", "headstart", *RUN, "trainer.max_epochs=20"]
    started = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=200)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert sum("is finished, val/accuracy" in text for text in said) == 1
    assert sum("waiting for the run mine, which process" in text for text in said) == 1
    assert main([*RUN, "trainer.max_epochs=20"]) == 0  # the digests fit


# ------------------------------------------------------------------ files that changed


@pytest.mark.parametrize("file", ["metrics.csv", "answers/val.npz"])
def test_a_changed_curve_is_told_by_the_command_and_by_the_report_until_it_is_run_again(mine, capfd, file):
    kept = (mine / file).read_bytes()
    (mine / file).write_bytes(kept[: len(kept) // 2])
    assert main(RUN) == 2
    assert f"mine has a result.json, but {file} is not what the run wrote" in error(capfd)
    shutil.copytree(mine, "study/other")
    (mine / file).write_bytes(kept)
    shutil.copytree(mine, "study/whole")
    assert main(["task=report", "report.dir=study", "report.baseline=scratch"]) == 0
    (left_out,) = json.loads(Path("study/report.json").read_text())["left_out"]
    assert left_out["folder"] == "other"
    assert left_out["why"].startswith(f"{file} changed since the run wrote it, or was cut")


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b"\xff\xfe", b'{"format": 1, "metr', b"null", b"[" * 100_000])
def test_a_damaged_result_is_none_whatever_its_damage(tmp_path, damage):
    (tmp_path / "result.json").write_bytes(damage)
    assert finished(tmp_path) is None
    assert result_damage(tmp_path).startswith("it ")


def test_a_result_that_cannot_be_read_is_none_and_says_why(tmp_path):
    (tmp_path / "result.json").symlink_to("result.json")
    assert finished(tmp_path) is None
    assert result_damage(tmp_path).startswith("it cannot be read: ")


def test_a_run_with_a_damaged_result_counts_as_not_finished_which_is_said(mine, capfd):
    whole = result(mine)
    (mine / "result.json").write_bytes(b"{}")
    assert main(["task=evaluate", "evaluate.run_dir=mine"]) == 2
    assert "whose result.json is damaged (it " in error(capfd)
    assert main([*RUN, "resume=auto"]) == 0  # goes on from the last checkpoint
    assert "mine has a damaged result.json (it " in capfd.readouterr().err
    assert result(mine)["metrics"] == whole["metrics"]
    assert result(mine)["files"]["metrics.csv"] == whole["files"]["metrics.csv"]

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


PHASED = "epoch,step,stages/trainable,val/accuracy\n0.0,0,,0.1\n1.0,4,0,0.5\n2.0,8,2,\n"


def test_the_phase_is_what_is_trainable_by_the_last_row_that_says_it(sweep, capsys):
    (sweep / "now" / "metrics.csv").write_text(PHASED)
    assert main(["task=status", "status.dir=outputs/pilot"]) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("running")]
    assert " ".join(row.split()[:6]) == "running head, 2 stages 2/8 val/accuracy"


def followed(monkeypatch, sweep, changes):
    """Follow the sweep; between two looks one of the changes happens, and at last no job runs any more."""
    left = list(changes)

    def between(_):
        if left:
            left.pop(0)()
        else:
            monkeypatch.setattr("headstart.runs.status.job_states.is_held", lambda _: False)

    monkeypatch.setattr("headstart.tasks.status.time.sleep", between)
    assert main(["task=status", "status.dir=outputs/pilot", "status.every=2"]) == 0


def test_without_a_terminal_a_job_has_a_line_when_it_has_changed_and_the_table_comes_at_the_end(
    sweep, monkeypatch, capsys
):
    curve = sweep / "now" / "metrics.csv"
    followed(monkeypatch, sweep, [lambda: None, lambda: curve.write_text(f"{CURVE}3.0,12,0.7\n"), lambda: None])
    lines = capsys.readouterr().out.splitlines()
    table = next(number for number, line in enumerate(lines) if line.startswith("7 jobs: "))
    told = [line.split()[1:3] for line in lines[:table] if line.endswith(" now")]
    assert told == [["running", "2/8"], ["running", "3/8"], ["stopped", "3/8"]]
    assert sum(line.endswith(" done") for line in lines[:table]) == 1
    assert not any(line.endswith(" later") for line in lines[:table])  # it waits
    assert "\x1b" not in "".join(lines)


def test_a_terminal_shows_one_table_in_its_place_that_fits_it(sweep, monkeypatch, capsys):
    monkeypatch.setattr("headstart.tasks.status.sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("headstart.tasks.status.shutil.get_terminal_size", lambda: (60, 7))
    followed(monkeypatch, sweep, [lambda: None])
    screens = capsys.readouterr().out.split("\x1b[H")[1:]
    assert len(screens) == 3
    for screen in screens:
        lines = screen.partition("\x1b[J")[0].replace("\x1b[K", "").splitlines()
        assert len(lines) == 5
        assert all(len(line) < 60 for line in lines)
        assert lines[-1] == "... and 5 more jobs"


def test_a_strangers_sweep_moves_no_cursor_and_is_not_written_to(sweep, tmp_path, capsys):
    precious = tmp_path / "precious.txt"
    precious.write_text("precious")
    folder = job(sweep, "evil\x1b[2J", error="boom \x1b]0;title\x07\n")
    (folder / ".lock").symlink_to(precious)
    (folder / ".hydra" / "config.yaml").write_text("trainer: [1]\nmodule: text\n")
    assert main(["task=status", f"status.dir={sweep}"]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "failed" in said
    assert "boom \\x1b]0;title\\x07" in said
    assert precious.read_text() == "precious"

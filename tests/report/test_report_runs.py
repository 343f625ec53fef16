"""Reading survives what lies on disk."""

import json
from pathlib import Path

import pytest

from headstart.report.rendering.reproduction_command import command
from headstart.report.stored_runs.study_runs import FinishedRun, LeftOutRun, run_in, runs_below


def test_a_finished_run_is_read_as_it_was_written(tmp_path: Path, save_run):
    folder = save_run(tmp_path, "gradual", 3, [0.1, 0.5, 0.7])
    (run,) = runs_below(tmp_path).finished
    assert (run.folder, run.mode, run.seed, run.overrides) == (
        folder,
        "gradual",
        3,
        ("mode=gradual", "seed=3"),
    )
    assert {step: row["val/accuracy"] for step, row in run.rows.items() if "val/accuracy" in row} == {
        0: 0.1,
        2: 0.5,
        4: 0.7,
    }
    assert run.rows[4]["examples"] == 100


def test_failed_and_unfinished_runs_are_listed_with_the_last_error_line(demo: Path):
    found = runs_below(demo)
    assert len(found.finished) == 35
    assert [(o.state, o.why) for o in found.others] == [
        ("failed", "RuntimeError: loss is nan <at step 12>"),
        ("unfinished", "no result.json: still running, or stopped from outside"),
    ]


def test_only_the_named_runs_are_read(tmp_path: Path, save_run):
    first = save_run(tmp_path, "gradual", 0, [0.1, 0.5])
    save_run(tmp_path, "gradual", 1, [0.1, 0.5])
    assert [run.folder for run in runs_below(tmp_path, [first.name]).finished] == [first]


DAMAGE = {
    "half a file": ("result.json", '{"format": 1, "mode"'),
    "a list": ("result.json", "[]"),
    "another format": ("result.json", '{"format": 3}'),
    "no mode": ("result.json", '{"format": 1, "seed": 0}'),
    "a seed in words": ("result.json", '{"format": 1, "mode": "scratch", "seed": "one"}'),
    "no rows": ("metrics.csv", "epoch,step,val/accuracy\n"),
    "no numbers": ("metrics.csv", "epoch,step,val/accuracy\n0,0,high\n"),
    "bytes": ("metrics.csv", "\x00\x01"),
}


@pytest.mark.parametrize(("file", "text"), DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_run_is_listed_and_harms_no_other(tmp_path: Path, save_run, file: str, text: str):
    save_run(tmp_path, "scratch", 0, [0.1, 0.5])
    bad = save_run(tmp_path, "scratch", 1, [0.1, 0.5])
    (bad / file).write_text(text)
    found = runs_below(tmp_path)
    assert len(found.finished) == 1
    assert [(o.folder, o.state) for o in found.others] == [(bad, "damaged")]
    assert found.others[0].why


def test_bytes_that_are_no_text_and_a_missing_table_are_damage(tmp_path: Path, save_run):
    bad = save_run(tmp_path, "scratch", 1, [0.1, 0.5])
    (bad / "result.json").write_bytes(b"\xff\xfe\x00")
    assert isinstance(run_in(bad), LeftOutRun)
    gone = save_run(tmp_path, "scratch", 2, [0.1, 0.5])
    (gone / "metrics.csv").unlink()
    assert isinstance(run_in(gone), LeftOutRun)


def test_overrides_come_from_hydra_where_the_result_has_none(tmp_path: Path, save_run):
    folder = save_run(tmp_path, "scratch", 1, [0.1, 0.5], ["mode=scratch", "seed=1", "a='b c'"])
    result = json.loads((folder / "result.json").read_text())
    del result["overrides"]
    (folder / "result.json").write_text(json.dumps(result))
    run = run_in(folder)
    assert isinstance(run, FinishedRun)
    assert run.overrides == ("mode=scratch", "seed=1", "a='b c'")


def test_events_of_one_step_are_one_row_and_a_measured_nan_stays(tmp_path: Path, save_run):
    folder = save_run(tmp_path, "scratch", 1, [0.1])
    (folder / "metrics.csv").write_text("step,val/accuracy,lr/head\n0,0.1,\n0,,0.02\n2,nan,\n,,\n")
    run = run_in(folder)
    assert isinstance(run, FinishedRun)
    assert run.rows[0] == {"step": 0, "val/accuracy": 0.1, "lr/head": 0.02}
    assert run.rows[2]["val/accuracy"] != run.rows[2]["val/accuracy"]


def test_the_command_comes_from_multirun_yaml(demo: Path):
    assert command(demo, runs_below(demo).finished) == "headstart -m study=demo"


def test_the_command_is_found_from_the_overrides_where_they_are_a_product(make_run):
    runs = [make_run(m, s, [0.1], (f"mode={m}", f"seed={s}", "a='b c'")) for m in ("x", "y") for s in (0, 1)]
    assert command(Path("nowhere"), runs) == """headstart -m mode=x,y seed=0,1 'a='"'"'b c'"'"''"""
    assert command(Path("nowhere"), runs[:3]) is None

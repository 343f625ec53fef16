"""A finished run is made again from its folder, to the last digit, and what differs is named."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from headstart.cli import main
from headstart.runs.outcome.run_comparison import compared
from small_run import RUN


def command(place, *words):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        return main(list(words))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A working folder with a finished run in mine/."""
    folder = tmp_path_factory.mktemp("place")
    assert command(folder, *RUN) == 0
    return folder


@pytest.fixture
def copy(place, tmp_path):
    """The run's folder, to be changed."""
    return Path(shutil.copytree(place / "mine", tmp_path / "mine"))


def changed_result(folder, change):
    result = json.loads((folder / "result.json").read_text())
    change(result)
    (folder / "result.json").write_text(json.dumps(result))


def test_a_run_of_this_machine_is_equal_to_the_last_digit_twice(place, capsys):
    for _ in range(2):  # the second replaces the first
        assert command(place, "task=reproduce", "reproduce.run=mine") == 0
        line = capsys.readouterr().out.splitlines()[-1]
        assert line.startswith("reproduced: all ")
        assert line.endswith("values are equal to the last digit, and the weights bit by bit")
    again = place / "outputs" / "reproduced" / "mine"
    assert (again / "metrics.csv").read_bytes() == (place / "mine" / "metrics.csv").read_bytes()
    record = json.loads((again / "reproduction.json").read_text())
    rows = (again / "metrics.csv").read_text().splitlines()[1:]
    assert record["equal"]
    assert record["compared"] > sum(len([cell for cell in row.split(",") if cell]) for row in rows) - 2 * len(rows)


@pytest.mark.parametrize("holds", ["a finished run of the same hash", "another run's reproduction", "notes", "a file"])
def test_a_folder_that_holds_something_else_is_refused_and_nothing_in_it_touched(place, copy, tmp_path, capsys, holds):
    other = tmp_path / "other"
    if holds == "a file":
        other.write_text("notes")
    else:
        other.mkdir()
        (other / "notes.txt").write_text("notes")
    if holds == "a finished run of the same hash":
        shutil.copytree(copy, other, dirs_exist_ok=True)
    if holds == "another run's reproduction":
        (other / "reproduction.json").write_text("{}")
        (other / "run.json").write_text('{"hash": "00000000"}')
    files = [path for path in (tmp_path / "other").rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files or [other]}
    assert command(place, "task=reproduce", f"reproduce.run={copy}", f"reproduce.out_dir={other}") == 2
    assert "which holds something else; nothing in it was touched" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before
    assert not (other / ".hydra").exists() or holds == "a finished run of the same hash"


def test_what_differs_is_named_with_its_circumstances_and_exit_code_1(place, copy, capsys):
    def otherwise(result):
        result["metrics"]["val/accuracy"] += 0.25
        result["weights_hash"] = "0" * 8
        result["versions"]["torch"], result["hardware"]["cpu"] = "1.0", "abacus"

    changed_result(copy, otherwise)
    assert command(place, "task=reproduce", f"reproduce.run={copy}", f"reproduce.out_dir={copy.parent}/again") == 1
    told = capsys.readouterr().err
    assert "headstart: error: not reproduced: 1 of " in told
    assert "values differ; the weights differ" in told
    assert "metrics.val/accuracy: " in told
    assert "(by 0.25)" in told
    assert "hardware.cpu: abacus there, " in told
    assert "versions.torch: 1.0 there, " in told


@pytest.mark.slow
def test_a_tolerance_allows_a_difference_up_to_it(place, copy, capsys):
    def nearly(result):
        result["metrics"]["val/accuracy"] += 0.01

    changed_result(copy, nearly)
    given = ["task=reproduce", f"reproduce.run={copy}", f"reproduce.out_dir={copy.parent}/again"]
    assert command(place, *given, "reproduce.tolerance=0.02") == 0
    assert "reproduced: 1 of " in capsys.readouterr().out
    assert command(place, *given, "reproduce.tolerance=0.005") == 1


def test_a_strangers_folder_is_read_by_the_rules_of_resume(place, copy, capsys):
    config = yaml.safe_load((copy / ".hydra" / "config.yaml").read_text())
    config["callbacks"]["rates"] = {"_target_": "os.system", "command": "touch harmed"}
    (copy / ".hydra" / "config.yaml").write_text(yaml.safe_dump(config))
    (copy / ".hydra" / "config.signature").unlink()
    assert command(place, "task=reproduce", f"reproduce.run={copy}", f"reproduce.out_dir={copy.parent}/again") == 2
    assert "names 'os.system'" in capsys.readouterr().err
    assert not (copy.parent / "again").exists()
    assert not (place / "harmed").exists()


def test_what_cannot_be_made_again_is_refused_before_anything_is_made(place, copy, tmp_path, capsys):
    assert command(place, "task=reproduce", "reproduce.run=mine", "reproduce.out_dir=mine") == 2
    assert "must be another folder" in capsys.readouterr().err
    (copy / "metrics.csv").write_text("cut")
    assert command(place, "task=reproduce", f"reproduce.run={copy}") == 2
    assert "metrics.csv of" in capsys.readouterr().err
    (copy / "result.json").unlink()
    assert command(place, "task=reproduce", f"reproduce.run={copy}") == 2
    assert "must be the folder of a finished run" in capsys.readouterr().err
    assert command(tmp_path, "task=reproduce", f"reproduce.run={place / 'mine'}") == 2
    assert f"try: cd {place}; headstart task=reproduce" in capsys.readouterr().err


def test_the_comparison_by_hand(tmp_path):
    folders = []
    for name, loss in (("a", 0.5), ("b", 0.75)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.csv").write_text(f"step,val/loss\n0,1.0\n2,{loss}\n")
        folders.append(tmp_path / name)
    first = {
        "metrics": {"x": 1.0, "y": None},
        "steps": 2,
        "wall_s": 1.0,
        "weights_hash": "a",
        "versions": {"torch": "1"},
    }
    second = {**first, "metrics": {"x": 1.0, "y": None}, "wall_s": 9.0, "versions": {"torch": "2"}, "hardware": {}}
    found = compared(folders[0], first, folders[1], second)
    assert found.compared == 2 + 2 + 1  # two metrics and steps, two rows
    assert [tuple(each) for each in found.differences] == [("val/loss at step 2", 0.5, 0.75)]
    assert [tuple(each) for each in found.circumstances] == [("versions.torch", "1", "2")]
    assert found.unknown == ("hardware", "data", "project_git")
    assert found.same_weights is True
    assert not found.is_equal
    assert found.within(0.25)
    assert not found.within(0.2)

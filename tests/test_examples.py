"""A project outside of the package does what its README says."""

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from headstart.cli import main

EXAMPLE = Path(__file__).parents[1] / "examples" / "own_parts"
SHORT = ["source.shots=20", "weights.max_epochs=1", "weights.require_better=false", "trainer.max_epochs=10"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of the example, which is the working folder, with its modules importable."""
    copy = shutil.copytree(EXAMPLE, tmp_path / "own_parts", ignore=shutil.ignore_patterns("__pycache__", "outputs"))
    monkeypatch.chdir(copy)
    monkeypatch.syspath_prepend(copy)
    yield Path(copy)
    sys.modules.pop("shapes", None)


@pytest.fixture
def headstart(project, capfd):
    def command(*arguments):
        code = main(["--config-dir", "conf", *arguments])
        return SimpleNamespace(returncode=code, stderr=capfd.readouterr().err)

    return command


def test_a_project_s_own_data_backbone_schedule_and_mode_make_a_run(project, headstart):
    done = headstart("experiment=shapes", "mode=patient", *SHORT)
    assert done.returncode == 0, done.stderr
    (file,) = (project / "outputs" / "shapes").rglob("result.json")
    result = json.loads(file.read_text())
    assert result["mode"] == "patient"
    assert result["class_names"] == ["circle", "square", "triangle"]
    assert result["sizes"] == {"train": 30, "val": 150, "test": 150}
    assert [phase["phase"] for phase in result["phases"]] == ["head", "corners alone", "edges alone", "all"]
    assert [phase["trainable"] for phase in result["phases"]] == [
        ["head"], ["corners", "head"], ["edges", "head"], ["edges", "corners", "head"],
    ]  # fmt: skip
    assert result["source"]["metrics"]


def test_what_is_wrong_on_the_command_line_of_a_project_is_told_as_for_headstarts_own_parts(headstart):
    done = headstart("experiment=shapes", "target.thicknes=2")
    assert done.returncode == 2
    assert "thickness" in done.stderr
    done = headstart("experiment=shapes", "target.thickness=9")
    assert done.returncode == 2
    assert "target.thickness must be a whole number from 1 to 5, got 9" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_readme_of_the_project_names_its_files_and_commands():
    text = (EXAMPLE / "README.md").read_text()
    told = {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")}
    there = {path.relative_to(EXAMPLE).as_posix() for path in EXAMPLE.rglob("*") if path.suffix in (".py", ".yaml")}
    assert told == there

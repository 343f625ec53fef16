"""What can be found wrong is found before anything is trained, and before anything is lost."""

import errno
import os
from pathlib import Path

import hydra.core.utils
import pytest

from composed import TINY
from headstart.cli import main
from photos import three_classes

FAST = [*TINY, "trainer.max_epochs=1", "logger=csv", "callbacks.figures=null"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def error(capfd):
    lines = capfd.readouterr().err.splitlines()
    (line,) = [line for line in lines if line.startswith("headstart: error: ")]
    assert not any("Traceback" in line for line in lines)
    return line


# ------------------------------------------------------------------ before the source model


@pytest.mark.parametrize(
    ("overrides", "code", "said"),
    [
        (["data@target=image_folder", "target.root=nowhere"], 2, "nowhere"),
        (["+logger.board._target_=pytorch_lightning.loggers.WandbLogger"], 2, "headstart[wandb]"),
        (["+callbacks.bar._target_=pytorch_lightning.callbacks.RichProgressBar"], 2, "RichProgressBar"),
        (["data@target=table", "target.table=photos.csv"], 2, "missing.png"),
    ],
    ids=["folder", "logger", "callback", "file"],
)
def test_what_the_run_lacks_is_told_before_a_source_model_is_trained(here, capfd, overrides, code, said):
    three_classes(here, 6)
    rows = [f"photos/{name}/{n}.png,{name}" for name in ("dark", "light") for n in range(6)]
    Path("photos.csv").write_text("\n".join(["path,label", *rows, "missing.png,dark"]) + "\n")
    assert main([*FAST, "mode=fine_tuning", *overrides]) == code
    assert said in error(capfd)
    assert not Path("outputs/source").exists()


# ------------------------------------------------------------------ where there is no room, or no leave, to write


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "no space is left"), (errno.EROFS, "cannot write"), (errno.EEXIST, "cannot write")],
)
@pytest.mark.parametrize("where", ["_save_config", "configure_log"])
def test_a_full_or_read_only_disk_at_the_very_start_is_one_line_that_says_what_to_do(
    monkeypatch, capfd, number, said, where
):
    def full(*_, **__):
        cause = OSError(number, os.strerror(number), "outputs/runs/x/config.yaml")
        if where == "_save_config":
            raise cause
        raise ValueError("Unable to configure handler 'file'") from cause  # as logging has it

    monkeypatch.setattr(hydra.core.utils, where, full)
    assert main([*FAST, "mode=scratch"]) == 1
    line = error(capfd)
    assert said in line
    assert "outputs/runs/x/config.yaml" in line
    assert "write elsewhere: hydra.run.dir=<folder>" in line


def test_a_folder_that_cannot_take_the_report_is_one_line_and_the_runs_are_as_they_were(monkeypatch, capfd):
    assert main(["-m", *FAST, "mode=scratch", "seed=0,1", "hydra.sweep.dir=study"]) == 0
    before = {path: path.read_bytes() for path in Path("study").rglob("*") if path.is_file()}
    capfd.readouterr()

    def refused(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "study/.report.json.x")

    monkeypatch.setattr("headstart.system.files.atomic_write.tempfile.mkstemp", refused)
    assert main(["task=report", "report.dir=study"]) == 2
    line = error(capfd)
    assert "the report of study cannot be written into it (Read-only file system); its runs are as they were" in line
    assert {path: path.read_bytes() for path in Path("study").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["report.html", "report.md", "report.json", "report.csv"])
def test_a_report_replaces_no_file_of_somebody_else_s(here, capfd, name):
    assert main([*FAST, "mode=scratch", "hydra.run.dir=study/one"]) == 0
    Path("study", name).write_text("{}" if name.endswith("json") else "my own report")
    kept = Path("study", name).read_text()
    assert main(["task=report", "report.dir=study"]) == 2
    assert f"study holds {name} of something else" in error(capfd)
    assert Path("study", name).read_text() == kept
    Path("study", name).unlink()
    for _ in range(2):  # its own it does
        assert main(["task=report", "report.dir=study"]) == 0


# ------------------------------------------------------------------ relative paths


def test_with_chdir_relative_paths_lead_from_where_the_command_was_started(here, capfd):
    three_classes(here, 8)
    data = ["data@target=image_folder", "target.root=photos", "backbone.size=16", "mode=fine_tuning"]
    assert main([*FAST, *data, "hydra.job.chdir=true"]) == 0
    assert sorted(path.name for path in Path("outputs").iterdir()) == ["runs", "source", "store"]
    (run,) = Path("outputs/runs").iterdir()
    capfd.readouterr()
    assert main([*FAST, *data]) == 0
    assert f"{run.name} is finished" in capfd.readouterr().err
    file = ["mode=fine_tuning", "weights=file", f"weights.path={run}/checkpoints/best.ckpt", "hydra.job.chdir=true"]
    assert main([*(one for one in FAST if not one.startswith("weights.")), *file]) == 0
    (run / "result.json").unlink()
    assert main([f"resume={run}"]) == 0
    assert (run / "result.json").exists()

"""Pictures during a run by the command: the run's figures are the same, on several processes too."""

import shutil
from pathlib import Path

import pytest

from composed import TINY, trained
from headstart.cli import main


def pictures(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(Path(folder).glob("*/*.png"))}


@pytest.mark.slow
def test_the_command_line_takes_kinds_and_the_runs_figures_are_the_same(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    chosen = "picture@callbacks.explain.pictures=[changes,before_after]"
    assert main(["--cfg", "job", "callbacks=explain", chosen]) == 0, capsys.readouterr().err
    assert main(["callbacks=explain", "picture@callbacks.explain.pictures=[nothing]"]) == 2
    assert "filters" in capsys.readouterr().err
    common = [*TINY, "mode=gradual", "logger=csv", "trainer.max_epochs=2"]
    plain = trained(*common, folder=tmp_path / "plain")
    seen = trained(*common, "callbacks=explain", chosen, "callbacks.explain.every_epochs=1", folder=tmp_path / "seen")
    assert (tmp_path / "plain" / "metrics.csv").read_bytes() == (tmp_path / "seen" / "metrics.csv").read_bytes()
    assert plain["weights_hash"] == seen["weights_hash"]
    assert plain["metrics"] == seen["metrics"]
    drawn = pictures(tmp_path / "seen" / "explain-steps")
    assert len(drawn) == 3 * (1 + 4)
    shutil.rmtree(tmp_path / "seen")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "count"),
    [(["trainer=ddp_cpu"], 3), (["trainer=fsdp", "trainer.accelerator=cpu", "trainer.devices=2"], 0)],
)
def test_of_two_processes_the_first_draws_and_the_other_does_not_wait_for_ever(options, count, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    common = [setting for setting in TINY if not setting.startswith("trainer.accelerator")]
    common += ["mode=scratch", "logger=csv", "trainer.max_epochs=2", *options]
    explaining = ["callbacks=explain", "callbacks.explain.every_epochs=1"]
    assert main([*common, "run_dir=plain", "hydra.run.dir=plain"]) == 0
    assert main([*common, *explaining, "run_dir=seen", "hydra.run.dir=seen"]) == 0
    assert Path("plain/metrics.csv").read_bytes() == Path("seen/metrics.csv").read_bytes()
    assert len(list(Path("seen").glob("explain-steps/filters/filters-step*.png"))) == count

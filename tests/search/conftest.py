"""The command over a planted objective."""

import json
from pathlib import Path

import pytest

from headstart.cli import main
from small_conf import small_config, task_option, write_conf

FIT = "{_target_: search_jobs.peak, x: {a: 0.0, b: 0.0, c: 0.0, d: 0.0}, kind: round}"
CONF = {"config.yaml": small_config(settings="trial: null"), "task/fit.yaml": task_option("fit", FIT)}
SPACE = [f"fit.x.{key}=interval(-1,1)" for key in "abcd"]


class Search:
    """The command in a folder of its own, and what it left there."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys
        shipped = Path(__file__).parents[2] / "conf" / "hydra" / "sweeper" / "optuna.yaml"
        texts = {**CONF, "hydra/sweeper/optuna.yaml": shipped.read_text()}
        write_conf(folder / "conf", texts)

    def __call__(self, *words: str, space: list[str] = SPACE) -> int:
        self.capsys.readouterr()
        code = main(["--config-path", str(self.folder / "conf"), "-m", "hydra/sweeper=optuna", *space, *words])
        self.out, self.err = self.capsys.readouterr()
        return code

    @property
    def record(self) -> dict:
        (file,) = self.folder.glob("outputs/*/search.json")
        return json.loads(file.read_text())

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls.txt").read_text().splitlines()


@pytest.fixture
def search(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    return Search(tmp_path, capsys)

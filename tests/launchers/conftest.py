"""The command over jobs that say what they saw, in processes of a launcher."""

import json
from pathlib import Path

import pytest

from headstart.cli import main
from small_conf import small_config, task_option, write_conf

FIT = "{_target_: side_jobs.look, fails_at: null, how: bug, seconds: 0.0, torch: false}"
CONF = {"config.yaml": small_config(settings="study_name: null"), "task/fit.yaml": task_option("fit", FIT)}
SHIPPED = Path(__file__).parents[2] / "conf" / "hydra" / "launcher"


class Sweep:
    """The command in a folder of its own, and what its jobs left there."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys
        own = {f"hydra/launcher/{file.name}": file.read_text() for file in SHIPPED.glob("*.yaml")}
        write_conf(folder / "conf", {**CONF, **own})

    def argv(self, *words: str) -> list[str]:
        return ["--config-path", str(self.folder / "conf"), "-m", *words]

    def __call__(self, *words: str) -> int:
        self.capsys.readouterr()
        code = main(self.argv(*words))
        self.out, self.err = self.capsys.readouterr()
        return code

    @property
    def seen(self) -> dict[int, dict]:
        """What each job saw, by its seed."""
        files = {path: json.loads(path.read_text()) for path in self.folder.glob("outputs/*/*/seen.json")}
        return {int(path.parent.name.rpartition("seed=")[2].partition("-")[0]): seen for path, seen in files.items()}


@pytest.fixture
def sweep(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    return Sweep(tmp_path, capsys)

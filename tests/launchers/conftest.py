"""The command over jobs that say what they saw, in processes of a launcher."""

import json
from pathlib import Path

import pytest

from headstart.cli import main

CONF = {
    "config.yaml": """
defaults: [_self_, {task: fit}, {experiment: null}, {study: null},
           override hydra/job_logging: none, override hydra/hydra_logging: none]
seed: 0
rerun: false
study_name: null
hydra:
  job: {name: headstart, chdir: false}
  run: {dir: "outputs/${study_name:}/${run_name:}"}
  sweep: {dir: "outputs/${study_name:}", subdir: "${run_name:}"}
""",
    "task/fit.yaml": """# @package _global_
task: fit
fit: {_target_: side_jobs.look, fails_at: null, how: bug, seconds: 0.0, torch: false}
""",
}
SHIPPED = Path(__file__).parents[2] / "conf" / "hydra" / "launcher"


class Sweep:
    """The command in a folder of its own, and what its jobs left there."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys
        own = {f"hydra/launcher/{file.name}": file.read_text() for file in SHIPPED.glob("*.yaml")}
        for name, text in {**CONF, **own}.items():
            file = folder / "conf" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

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

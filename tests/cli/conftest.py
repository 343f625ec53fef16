"""Fixtures of the command's tests."""

from pathlib import Path

import pytest

import stub_jobs
from headstart.cli import main
from small_conf import small_config, task_option, write_conf

CONF = {
    "config.yaml": small_config("model: small", "mode: a"),
    "task/fit.yaml": task_option("fit", "{_target_: stub_jobs.fit}"),
    "task/stopped.yaml": task_option("stopped", "{_target_: stub_jobs.interrupted}"),
    "task/builds.yaml": task_option("builds", "{_target_: stub_jobs.builds}"),
    "model/strict.yaml": "_target_: stub_jobs.Strict\nwhy: user\n",
    "task/closed.yaml": task_option("closed", "{_target_: stub_jobs.closed_by_lightning}"),
    "task/read.yaml": """# @package _global_
task: read
read:
  _target_: stub_jobs.read
  folder: ???   # where to read
hydra: {output_subdir: null, run: {dir: .}}
""",
    "model/small.yaml": "_target_: stub_jobs.Model\ndepth: 1\nroot: null\n",
    "model/large.yaml": "_target_: stub_jobs.Model\ndepth: 9\nroot: null\n",
    "mode/a.yaml": "# @package _global_\nmode: a\n",
    "mode/b.yaml": "# @package _global_\nmode: b\n",
    "experiment/deep.yaml": "# @package _global_\nmodel: {depth: 7}\n",
    "study/two.yaml": """# @package _global_
hydra: {mode: MULTIRUN, sweeper: {params: {mode: "a,b", seed: "0,1"}}}
""",
}


class Command:
    """The command over a small conf/ in a folder of its own, its tasks stubs."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys
        self.conf = folder / "conf"
        write_conf(self.conf, CONF)

    def write(self, name: str, text: str) -> None:
        write_conf(self.conf, {name: text})

    def __call__(self, *argv: str) -> int:
        stub_jobs.CALLS.clear()
        self.capsys.readouterr()
        code = main(["--config-path", str(self.conf), *argv])
        self.out, self.err = self.capsys.readouterr()
        return code

    @property
    def cfg(self):
        """The config that the one job got."""
        (cfg,) = stub_jobs.CALLS
        return cfg

    @property
    def made(self) -> list[str]:
        """What lies in the working folder beside conf/."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.iterdir() if path != self.conf)

    @property
    def runs(self) -> list[str]:
        """The folders below outputs/<study>/."""
        return sorted(
            str(path.parent.relative_to(self.folder / "outputs")) for path in self.folder.glob("outputs/*/*/.hydra")
        )


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    return Command(folder, capsys)


@pytest.fixture
def real(tmp_path, monkeypatch, capsys):
    """The command over the shipped conf/, showing the config instead of running it: (exit code, out, err)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def run(*argv: str) -> tuple[int, str, str]:
        shows = [] if {"-m", "--multirun", "-h", "--help"} & set(argv) else ["--cfg", "job"]
        code = main([*shows, *argv])
        assert list(tmp_path.glob("outputs*")) == [], "a command line that is checked leaves nothing behind"
        return code, *capsys.readouterr()

    return run

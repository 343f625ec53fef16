"""A multirun gets its report."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from headstart.report import multirun_hook
from headstart.types import UserError


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    multirun_hook.written.clear()
    multirun_hook.failures.clear()
    yield
    multirun_hook.written.clear()
    multirun_hook.failures.clear()


def config(task: str, folder: Path) -> DictConfig:
    return OmegaConf.create({"task": task, "hydra": {"sweep": {"dir": str(folder)}}})


def test_the_verdict_is_printed_and_the_page_remembered(demo: Path, capsys: pytest.CaptureFixture[str]):
    multirun_hook.ReportAtEnd().on_multirun_end(config("fit", demo))
    assert [report.page for report in multirun_hook.written] == [demo / "report.html"]
    said = capsys.readouterr().out
    assert "higher start" in said
    assert str(demo / "report.html") in said


def test_other_tasks_get_no_report(demo: Path):
    multirun_hook.ReportAtEnd().on_multirun_end(config("evaluate", demo))
    assert multirun_hook.written == multirun_hook.failures == []
    assert not (demo / "report.html").exists()


def test_what_goes_wrong_is_kept_for_the_exit_code(tmp_path: Path):
    multirun_hook.ReportAtEnd().on_multirun_end(config("fit", tmp_path))
    assert multirun_hook.written == []
    assert [type(error) for error in multirun_hook.failures] == [UserError]

"""Studies of known curves as fixtures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from headstart.report.stored_runs.study_runs import FinishedRun
from planted_studies import planted, run_of, write_demo, write_failed, write_run


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """A demo study's folder, with a failed and an unfinished run."""
    study = write_demo(tmp_path / "demo")
    write_failed(study, "mode=gradual,seed=7-deadbeef", "RuntimeError: loss is nan <at step 12>")
    (study / "mode=gradual,seed=8-00c0ffee" / ".hydra").mkdir(parents=True)
    return study


@pytest.fixture
def make_run() -> Callable[..., FinishedRun]:
    return run_of


@pytest.fixture
def curve() -> Callable[..., list[float]]:
    return planted


@pytest.fixture
def save_run() -> Callable[..., Path]:
    return write_run


@pytest.fixture
def save_failed() -> Callable[..., Path]:
    return write_failed


@pytest.fixture
def save_demo() -> Callable[..., Path]:
    return write_demo

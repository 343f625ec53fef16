"""A run whose training diverged is no source model to compare."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from headstart.runs.candidates import candidate as module
from headstart.types import UserError


def test_a_run_that_diverged_is_refused_by_its_name(monkeypatch):
    run = SimpleNamespace(result={"state": "diverged"}, cfg={})
    monkeypatch.setattr(module, "saved_run", lambda *_: run)
    with pytest.raises(UserError, match="candidate 'outputs/runs/mine': its training diverged"):
        module._backbone_of(Path("outputs/runs/mine"), "outputs/runs/mine")

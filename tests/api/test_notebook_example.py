"""The cells of examples/notebook run from the first to the last."""

import runpy
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "notebook" / "compare_modes.py"


@pytest.mark.slow
def test_the_cells_run_and_find_what_they_say(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = runpy.run_path(str(EXAMPLE))
    assert "did you mean target.shots" in capsys.readouterr().out
    assert len(names["sweep"].runs) == len(names["records"]) == 4
    assert set(names["accuracy"]) == {"scratch", "fine_tuning"}
    assert names["best"].metrics["val/accuracy"] == max(run.metrics["val/accuracy"] for run in names["sweep"].runs)
    assert [prediction.image for prediction in names["predictions"]] == list(range(20))
    assert {prediction.predicted for prediction in names["predictions"]} <= set("0123456789")

"""The temperature in a run's folder counts where a fit can have given it."""

import json
from types import SimpleNamespace

import pytest

from headstart.evaluation.confidence.temperature import CalibrationScore, FittedTemperature
from headstart.runs.saved import run_temperature as module
from headstart.runs.saved.run_temperature import run_temperature
from headstart.system.files.file_identity import sha256

NEW = FittedTemperature(1.5, 30, CalibrationScore(1.0, 0.2), CalibrationScore(0.9, 0.1))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run whose temperature was fitted as 2.5; a new fit gives 1.5."""
    monkeypatch.setattr(module, "_fitted", lambda *_: NEW)
    checkpoint = tmp_path / "best.ckpt"
    checkpoint.write_bytes(b"weights")
    content = NEW._replace(temperature=2.5).content() | {"weights_sha256": sha256(checkpoint)}
    (tmp_path / "temperature-best.json").write_text(json.dumps(content))
    return SimpleNamespace(folder=tmp_path, checkpoint=checkpoint)


def test_what_was_fitted_is_read_again(run):
    assert run_temperature(run, None).temperature == 2.5


@pytest.mark.parametrize(
    "damage",
    [{"temperature": value} for value in (0, -1.0, 1e300, 0.01, 25.0, "x", None, float("nan"), [1.0], 10**400)]
    + [{"images": 0}, {"images": "many"}, {"before": {}}, {"before": {"nll": "x", "ece": 1}}, {"after": None},
       {"after": {"nll": float("inf"), "ece": 0.1}}],
)  # fmt: skip
def test_a_number_that_no_fit_gives_is_fitted_anew(run, damage):
    """0 divides by nothing, and below it the likeliest class becomes the least likely."""
    file = run.folder / "temperature-best.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | damage))
    assert run_temperature(run, None) == NEW
    assert json.loads(file.read_text())["temperature"] == 1.5

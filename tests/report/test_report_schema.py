"""report.json is as docs/reference/report.schema.json says, and the schema lists what is written."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from headstart.report.rendering.exports.json_record import FORMAT
from headstart.report.report_files import write_report
from planted_studies import planted, write_run

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "reference" / "report.schema.json").read_text())


def errors_of(folder: Path) -> list[str]:
    write_report(folder)
    record = json.loads((folder / "report.json").read_text())
    return [f"{error.json_path}: {error.message[:200]}" for error in Draft202012Validator(SCHEMA).iter_errors(record)]


def test_the_schema_is_one_and_of_the_format_that_is_written():
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["format"] == {"const": FORMAT}


def test_a_study_with_controls_is_as_the_schema_says(demo):
    assert errors_of(demo) == []


def test_runs_without_a_baseline_and_over_an_axis_are_as_the_schema_says(tmp_path):
    for shots in (5, 10, 20):
        for mode in ("scratch", "gradual"):
            overrides = [f"mode={mode}", f"target.shots={shots}", "seed=0"]
            write_run(tmp_path / "s", mode, 0, planted(0.4, 0.6 + shots / 100, 0.3), overrides)
    for rate in (0.1, 0.2):
        overrides = ["mode=gradual", f"optimizer.lr={rate}", "target.fold=1", "target.shots=7", "seed=1"]
        state = "diverged" if rate == 0.2 else "finished"
        write_run(tmp_path / "s", "gradual", 1, [0.3, 0.5], overrides, state=state)
    assert errors_of(tmp_path / "s") == []
    assert json.loads((tmp_path / "s" / "report.json").read_text())["axes"]


def test_an_adaptation_is_as_the_schema_says(tmp_path):
    for seed in range(2):
        for method in ("source_only", "cdan"):
            named = {"class": "SourceOnly" if method == "source_only" else "CDAN", "main": "source"}
            metrics = {"val/accuracy": 0.97, "test/accuracy": 0.7 + 0.01 * seed}
            overrides = [f"adaptation={method}", f"seed={seed}"]
            write_run(tmp_path / "s", "scratch", seed, [0.1, 0.9], overrides, adaptation=named, metrics=metrics)
    assert errors_of(tmp_path / "s") == []


@pytest.mark.parametrize("key", ["ranking", "runs", "settings"])
def test_a_record_without_a_part_is_refused(demo, key):
    write_report(demo)
    record = json.loads((demo / "report.json").read_text())
    del record[key]
    assert not Draft202012Validator(SCHEMA).is_valid(record)
    assert not Draft202012Validator(SCHEMA).is_valid({**record, key: record, "more": 1})

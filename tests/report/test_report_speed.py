"""The report of thousands of runs is there within seconds, and its page is small."""

import json
import time
from pathlib import Path

import pytest

from headstart.report.report_files import write_report
from many_runs import write_many

MIB = 2**20


def seconds_of_report(study: Path) -> float:
    """CPU time, which other processes of the machine do not change."""
    start = time.process_time()
    write_report(study)
    return time.process_time() - start


def test_60_runs_are_reported_within_6_seconds(tmp_path):
    study = write_many(tmp_path / "s", 60)
    assert seconds_of_report(study) < 6
    assert len(json.loads((study / "report.json").read_text())["runs"]) == 60
    assert (study / "report.html").stat().st_size < MIB / 2


@pytest.mark.slow
def test_2000_runs_are_reported_within_30_seconds_in_less_than_5_mib(tmp_path):
    study = write_many(tmp_path / "s", 2000)
    assert seconds_of_report(study) < 30
    assert len(json.loads((study / "report.json").read_text())["runs"]) == 2000
    assert (study / "report.html").stat().st_size < 5 * MIB

"""A sweep says how many of its jobs are done, and when all will be."""

import os

import pytest

from headstart.runs.status.planned_jobs import PlannedJob, note_job
from headstart.runs.status.sweep_progress import sweep_progress


@pytest.fixture
def sweep(tmp_path):
    """A command of ten jobs, which began at 1000 s; one was finished by an earlier one."""
    for number in range(10):
        (tmp_path / str(number)).mkdir()
        note_job(tmp_path, PlannedJob(tmp_path / str(number), (f"seed={number}",)), is_first=number == 0)
    written(tmp_path / "multirun.yaml", 1000)
    written(tmp_path / "0" / "result.json", 500)
    return tmp_path


def written(file, at):
    file.write_text("")
    os.utime(file, (at, at))


def test_the_time_left_is_by_the_jobs_that_this_command_has_done(sweep):
    assert sweep_progress(sweep, now=1060) == "1 of 10 jobs are done"  # nothing tells how long one takes
    for number in (1, 2, 3):
        written(sweep / str(number) / "result.json", 1000 + 30 * number)
    assert sweep_progress(sweep, now=1090) == "4 of 10 jobs are done; about 3:00 left"  # 90 s for 3, 6 are left


def test_a_failed_job_counts_as_one_that_took_time_and_one_of_an_earlier_command_as_waiting(sweep):
    written(sweep / "1" / "result.json", 1050)
    written(sweep / "2" / "error.txt", 1100)
    written(sweep / "3" / "error.txt", 900)
    assert sweep_progress(sweep, now=1100) == "2 of 10 jobs are done, 1 failed; about 5:50 left"  # 100 s for 2, 7 left


def test_at_the_end_no_time_is_left_and_of_a_lone_job_nothing_is_said(sweep, tmp_path):
    for number in range(10):
        written(sweep / str(number) / "result.json", 1100)
    assert sweep_progress(sweep, now=1100) == "10 of 10 jobs are done"
    note_job(sweep, PlannedJob(sweep / "0", ()), is_first=True)
    assert sweep_progress(sweep, now=1100) == ""

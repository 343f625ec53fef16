"""The table of a sweep in its own terminal: lines stay above it, and it is gone at the end."""

import json
import os
import re
import subprocess
import threading
import time

import pytest

from headstart.cli.sweeps import live_table as live
from headstart.cli.sweeps.live_table import TablePainter, live_lines, live_table
from headstart.runs.status.followed_sweep import FollowedSweep
from headstart.runs.status.planned_jobs import PlannedJob, note_job

SEQUENCE = re.compile(r"\x1b\[(\d*)([AJ])|\r|\n|[^\x1b\r\n]+")


def screen(written: str) -> list[str]:
    """What a terminal shows of such text: lines up, carriage returns and erasing to the end."""
    lines, row = [""], 0
    for match in SEQUENCE.finditer(written):
        text, (count, letter) = match[0], (match[1], match[2])
        if letter == "A":
            row -= int(count)
        elif letter == "J":
            del lines[row + 1 :]
            lines[row] = ""
        elif text == "\n":
            row += 1
            if row == len(lines):
                lines.append("")
        elif text != "\r":
            lines[row] += text
    return lines


@pytest.fixture
def terminal():
    """(a painter, what its terminal shows)."""
    ours, theirs = os.pipe()
    written = ""

    def shows() -> list[str]:
        nonlocal written
        painter.add(b"")
        written += os.read(ours, 1 << 16).decode() if has_some(ours) else ""
        return screen(written)

    painter = TablePainter(theirs)
    yield painter, shows
    os.close(ours)
    os.close(theirs)


def has_some(number: int) -> bool:
    import select

    return bool(select.select([number], [], [], 0)[0])


def test_what_is_printed_stands_above_the_table_however_it_comes(terminal):
    painter, shows = terminal
    painter.show(["2 jobs", "running a"])
    painter.add(b"one\ntw")
    painter.add("o €".encode()[:-1])
    assert shows() == ["one", "2 jobs", "running a", ""]
    painter.add("€".encode()[-1:] + b"\nten\rhundred\r\n")
    painter.show(["2 jobs", "running b", "running c"])
    assert shows() == ["one", "two €", "hundred", "2 jobs", "running b", "running c", ""]
    painter.show([])
    assert shows() == ["one", "two €", "hundred", ""]


def test_a_question_is_shown_and_no_table_comes_after_it(terminal):
    painter, shows = terminal
    painter.show(["1 job"])
    painter.add(b"(Pdb) ")
    painter.add_rest()
    painter.show(["1 job, later"])
    assert shows() == ["(Pdb) "]
    painter.add(b"q\n")
    assert shows() == ["(Pdb) q", "1 job, later", ""]


@pytest.fixture
def sweep(tmp_path):
    """Of four jobs one is finished, one failed, one runs, one waits; a fifth folder is of an earlier command."""
    for number, name in enumerate(("done", "broken", "now", "later")):
        note_job(tmp_path, PlannedJob(tmp_path / name, ("mode=scratch", f"seed={number}")), is_first=not number)
    for name in ("done", "broken", "now", "earlier"):
        (tmp_path / name / ".hydra").mkdir(parents=True)
        (tmp_path / name / ".hydra" / "config.yaml").write_text("trainer: {max_epochs: 8}\n")
        (tmp_path / name / "run.json").write_text("{}")
    (tmp_path / "done" / "result.json").write_text(json.dumps({"metrics": {"val/accuracy": 0.7}}))
    (tmp_path / "broken" / "error.txt").write_text("RuntimeError: boom\n")
    (tmp_path / "now" / "metrics.csv").write_text("epoch,step,val/accuracy\n0,0,0.1\n2,8,0.6\n")
    return tmp_path


def test_the_states_are_those_of_the_command_that_runs(sweep):
    states = {job.folder.name: job for job in FollowedSweep(lambda: sweep, since_ns=1).jobs()}
    assert {name: job.state for name, job in states.items()} == {
        "done": "finished", "broken": "failed", "now": "running", "later": "waiting",
    }  # fmt: skip
    assert (states["now"].epoch, states["now"].epochs, states["now"].value) == (2, 8, 0.6)
    later = time.time_ns() + 10**9
    assert FollowedSweep(lambda: sweep, since_ns=later).jobs() == [], "the list is of an earlier command"


def test_what_an_earlier_command_left_waits_and_a_finished_job_is_read_once(sweep, monkeypatch):
    since = (sweep / "jobs.jsonl").stat().st_mtime_ns
    for name in ("now/run.json", "done/run.json", "broken/error.txt", "broken/run.json", "done/result.json"):
        os.utime(sweep / name, ns=(since - 5, since - 5))
    followed = FollowedSweep(lambda: sweep, since_ns=since)
    assert [job.state for job in followed.jobs()] == ["finished", "waiting", "waiting", "waiting"]
    monkeypatch.setattr("headstart.runs.status.followed_sweep.job_state", None)
    assert followed.jobs()[0].value == 0.7


def test_the_table_has_a_line_for_each_job_that_has_begun_and_fits(sweep):
    jobs = FollowedSweep(lambda: sweep, since_ns=1).jobs()
    lines = live_lines(jobs, sweep, width=60, height=30)
    assert lines[0].startswith("-- 1 of 4 jobs are done, 1 failed")
    assert [line.split()[0] for line in lines[1:]] == ["state", "running", "failed", "finished"]
    assert max(map(len, live_lines(jobs, sweep, width=30, height=30))) < 30
    assert live_lines(jobs, sweep, width=60, height=5)[-1] == "... and 3 more jobs"


def test_jobs_of_other_processes_print_above_it_and_see_no_terminal(sweep, monkeypatch):
    monkeypatch.setattr(live, "EVERY_S", 0.0)
    ours, theirs = os.openpty()
    before = {number: os.dup(number) for number in (1, 2)}
    for number in before:
        os.dup2(theirs, number)
    try:
        with live_table(lambda: sweep, since_ns=1):
            subprocess.run("echo from another; test -t 1 || echo no terminal", shell=True, check=True)
            time.sleep(3 * live.IDLE_S)
            inside = os.isatty(2)
        os.write(1, b"after\n")
    finally:
        for number, saved in before.items():
            os.dup2(saved, number)
            os.close(saved)
    os.close(theirs)
    written = b""
    while has_some(ours):
        try:
            written += os.read(ours, 1 << 16)
        except OSError:  # all ends of the other side are closed
            break
    text = written.decode().replace("\r\n", "\n")
    assert "-- 1 of 4 jobs are done" in text
    assert screen(text) == ["from another", "no terminal", "after", ""]
    assert not inside


def test_without_a_terminal_each_running_job_has_a_line_when_it_has_gone_on(sweep, monkeypatch, capfd):
    monkeypatch.setattr(live, "LINES_EVERY_S", 0.05)
    with live_table(lambda: sweep, since_ns=1):
        time.sleep(0.5)
        (sweep / "now" / "metrics.csv").write_text("epoch,step,val/accuracy\n0,0,0.1\n3,8,0.65\n")
        time.sleep(0.5)
    lines = [line.split() for line in capfd.readouterr().out.splitlines()]
    assert [(line[1], line[2], line[4], line[-1]) for line in lines] == [
        ("running", "2/8", "0.600", "now"),
        ("running", "3/8", "0.650", "now"),
    ]
    assert not any(thread.name == "follower" for thread in threading.enumerate())

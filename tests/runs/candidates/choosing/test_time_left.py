"""The time of task=choose: what texts mean, and what a killed process has spent."""

import time

import pytest

from headstart.runs.candidates.choosing.time_left import TimeLeft, seconds_of
from headstart.types import UserError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30min", 1800), ("2h", 7200), (45, 45), ("1.5 h", 5400), ("12", 12), ("1d", 86400)],
)
def test_a_time_is_read_in_its_unit(text, seconds):
    assert seconds_of(text, "choose.time") == seconds


@pytest.mark.parametrize("text", ["", "soon", "-3min", "0", "3 weeks", "nan", "inf", "1e999h", "3min2s"])
def test_what_is_no_time_is_refused_with_an_example(text):
    with pytest.raises(UserError, match=r"choose.time must be a time above 0 as 90s, 30min or 2h"):
        seconds_of(text, "choose.time")


def test_what_an_earlier_process_noted_is_spent(tmp_path):
    first = TimeLeft(tmp_path, 10)
    time.sleep(0.3)
    first.note()
    second = TimeLeft(tmp_path, 10)
    assert 0.3 <= second.spent < 3
    assert second.left == pytest.approx(10 - second.spent, abs=0.1)
    assert second.until(0.5) == pytest.approx(5 - second.spent, abs=0.1)
    assert second.moment(1.0) == pytest.approx(time.time() + second.left, abs=0.1)


def test_nothing_is_left_behind_the_end_and_a_damaged_note_is_none(tmp_path):
    (tmp_path / "time_spent.json").write_text('{"seconds": 99}')
    assert TimeLeft(tmp_path, 10).left == 0
    (tmp_path / "time_spent.json").write_text('{"seconds": "many"')
    assert TimeLeft(tmp_path, 10).left > 9

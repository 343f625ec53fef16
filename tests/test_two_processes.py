"""A pair of ranks that stands still shows its stacks and is tried once more; one that fails shows both outputs."""

import time
from pathlib import Path

import pytest

import two_processes
from two_processes import StandstillError, run_both

STANDS_STILL = """
import os, sys, time
from pathlib import Path
mark = Path(sys.argv[1]) / os.environ["LOCAL_RANK"]
if len(sys.argv) > 2 or not mark.exists():
    mark.touch()
    def waits_for_ever():
        print("rank", os.environ["LOCAL_RANK"], "begins", flush=True)
        time.sleep(600)
    waits_for_ever()
"""
FAILS = """
import os, time
if os.environ["LOCAL_RANK"] == "0":
    raise RuntimeError("the port is in use")
time.sleep(600)
"""


def script(folder, text) -> Path:
    (folder / "ranks.py").write_text(text)
    return folder / "ranks.py"


@pytest.fixture
def patience(monkeypatch):
    """A pair is out of time as soon as both ranks stand still."""
    ended = two_processes._ended

    def ended_or_standing(ranks, seconds):
        while any(rank.process.poll() is None for rank in ranks):
            if all("begins" in rank.text() for rank in ranks):
                return False
            time.sleep(0.01)
        return ended(ranks, seconds)

    monkeypatch.setattr(two_processes, "_ended", ended_or_standing)


def test_a_pair_that_stands_still_is_tried_once_more_with_a_warning_that_holds_both_stacks(tmp_path, patience):
    with pytest.warns(UserWarning, match="tried once more") as caught:
        run_both(script(tmp_path, STANDS_STILL), tmp_path, seconds=60)
    text = str(caught[0].message)
    assert text.count("in waits_for_ever") == 2
    assert "rank 0 begins" in text
    assert "rank 1 begins" in text


def test_a_second_pair_that_stands_still_is_an_error(tmp_path, patience):
    with pytest.warns(UserWarning, match="tried once more"), pytest.raises(StandstillError, match="not done in 60 s"):
        run_both(script(tmp_path, STANDS_STILL), tmp_path, "always", seconds=60)


def test_a_pair_is_given_so_many_seconds(tmp_path):
    with pytest.warns(UserWarning, match="tried once more"), pytest.raises(StandstillError):
        run_both(script(tmp_path, STANDS_STILL), tmp_path, "always", seconds=0.05)


def test_a_rank_that_fails_ends_its_partner_and_shows_why(tmp_path, monkeypatch):
    monkeypatch.setattr(two_processes, "END_S", 0.2)
    begin = time.monotonic()
    with pytest.raises(AssertionError, match="the port is in use"):
        run_both(script(tmp_path, FAILS), seconds=300)
    assert time.monotonic() - begin < 200

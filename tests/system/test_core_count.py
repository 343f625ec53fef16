"""Cores of a process."""

import os

from headstart.system.core_count import core_share, usable_cores


def test_a_job_beside_others_has_its_share_and_another_what_the_system_says(monkeypatch):
    monkeypatch.setenv("HEADSTART_CORES", "3")
    assert (usable_cores(), core_share()) == (3, 3)
    for text in ("", "0", "many"):
        monkeypatch.setenv("HEADSTART_CORES", text)
        assert (usable_cores(), core_share()) == (len(os.sched_getaffinity(0)), None)

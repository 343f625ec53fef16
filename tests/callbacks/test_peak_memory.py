"""Peak memory is what the process held since it was last asked."""

import gc
import mmap
import sys

import pytest
import torch

from headstart.callbacks.timing import peak_memory
from headstart.callbacks.timing.peak_memory import PeakMemory, highest_mib, resident_mib

CPU = torch.device("cpu")


@pytest.fixture
def peak(monkeypatch):
    """A watch over numbers that the test sets; its own looks never come."""
    found, watch = {"resident": 100.0, "highest": 500.0}, PeakMemory()
    monkeypatch.setattr(peak_memory, "EVERY_S", 3600)
    monkeypatch.setattr(peak_memory, "resident_mib", lambda: found["resident"])
    monkeypatch.setattr(peak_memory, "highest_mib", lambda: found["highest"])
    watch.begin(CPU)
    yield watch, found
    watch.end()


def test_what_an_earlier_run_of_the_process_held_does_not_count(peak):
    watch, found = peak
    found["resident"] = 200.0
    assert watch.taken() == 200.0


def test_a_record_of_the_process_counts_also_where_nobody_looked(peak):
    watch, found = peak
    found["highest"] = 700.0
    assert watch.taken() == 700.0
    assert watch.taken() == 100.0


def test_where_the_system_does_not_say_what_is_resident_it_is_the_most_of_the_process(peak):
    watch, found = peak
    found["resident"] = None
    assert watch.taken() == 500.0


def test_nothing_is_watched_before_the_beginning_and_after_the_end(peak):
    watch, _ = peak
    watch.end()
    assert watch.taken() is None
    assert PeakMemory().taken() is None


@pytest.mark.skipif(sys.platform != "linux", reason="what is resident is known on Linux only")
def test_what_was_held_for_a_while_is_seen_although_the_process_has_held_more_before():
    def hold(mib, seconds):
        # from the system: malloc may have as much left over from other tests, which is resident already
        with mmap.mmap(-1, mib * 2**20) as block:
            for page in range(0, len(block), mmap.PAGESIZE):
                block[page] = 1  # written to, so resident
            peak_memory.threading.Event().wait(seconds)  # type: ignore[attr-defined]

    gc.collect()  # or what other tests have left goes in the middle of this one
    hold(600, 0)  # a record, before the watch
    watch = PeakMemory()
    watch.begin(CPU)
    before = watch.taken()
    hold(200, 5 * peak_memory.EVERY_S)
    most = watch.taken()
    watch.end()
    assert before + 190 < most < before + 260
    assert resident_mib() <= highest_mib()

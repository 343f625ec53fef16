"""The process reuses freed memory where it should, and gives it back."""

import os
import subprocess
import sys
from unittest.mock import Mock

import pytest

from headstart.callbacks.training import memory_reuse

# in a process of its own: what malloc was told once holds for all that comes after it
TOLD = """
import resource, sys
import torch
from headstart.callbacks.training.memory_reuse import keep_freed_memory, return_freed_memory
from headstart.callbacks.timing.peak_memory import resident_mib

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(64 * 2**18)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

pages = 64 * 2**20 // resource.getpagesize()
faults()
usual = faults()
kept = keep_freed_memory()
faults()  # the block is taken from the system once more
print(kept, usual >= 10 * pages, faults() < pages)
before = resident_mib()
return_freed_memory()
print(before - resident_mib() > 60)
"""


def is_glibc():
    return sys.platform == "linux" and "glibc" in os.confstr("CS_GNU_LIBC_VERSION")


def told():
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    done = subprocess.run([sys.executable, "-c", TOLD], env=kept, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.skipif(not is_glibc(), reason="malloc is glibc's there only")
def test_a_block_that_is_freed_and_asked_for_again_costs_no_new_pages_and_goes_back_when_it_is_returned():
    assert told() == ["True", "True", "True", "True"]


@pytest.mark.parametrize(
    ("name", "value", "asked"),
    [
        ("MALLOC_ARENA_MAX", "4", 0),
        ("GLIBC_TUNABLES", "glibc.malloc.arena_max=4", 0),
        ("GLIBC_TUNABLES", "glibc.cpu.x86_rep_movsb_threshold=2048", 2),
    ],
)
def test_malloc_is_left_alone_where_the_environment_says_how_it_works(name, value, asked, monkeypatch):
    library = Mock()
    monkeypatch.setattr(memory_reuse, "_glibc", lambda: library)
    for known in [one for one in os.environ if one.startswith("MALLOC_")]:
        monkeypatch.delenv(known)
    monkeypatch.setenv(name, value)
    assert memory_reuse.keep_freed_memory() == (asked > 0)
    assert library.mallopt.call_count == asked


def test_nothing_is_done_where_the_c_library_is_another_one(monkeypatch):
    monkeypatch.setattr(memory_reuse, "_glibc", lambda: None)
    assert not memory_reuse.keep_freed_memory()
    memory_reuse.return_freed_memory()

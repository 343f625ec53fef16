"""Fixtures of the tests with planted faults.

Each case is drawn by its number, so that a failure is found again by its name. FAULTS scales how many there are of
each kind: 1 takes at most 40 minutes on 2 cores, 0.1 a tenth.
"""

import os
import random
import shutil
import time

import pytest

from disturbed import RUN
from killed import command, said
from same_run import run_of

SCALE = float(os.environ.get("FAULTS", "0.1"))


def pytest_generate_tests(metafunc):
    marker = metafunc.definition.get_closest_marker("drawn")
    if marker is not None:
        count = max(1, round(SCALE * marker.args[0]))
        metafunc.parametrize("chance", range(count), indirect=True)


def pytest_configure(config):
    config.addinivalue_line("markers", "drawn(count): so many cases at FAULTS=1, each with a chance of its own")


def pytest_collection_modifyitems(items):
    for item in items:
        if "faults" in item.path.parts:
            item.add_marker(pytest.mark.faults)


@pytest.fixture
def chance(request):
    """A random generator that only this case has."""
    return random.Random(f"{request.function.__name__} {request.param}")


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """The working folder in which the run was never disturbed, and how many seconds it took."""
    place = tmp_path_factory.mktemp("whole")
    began = time.monotonic()
    assert command(place, *RUN) == 0, said(place)
    return place, time.monotonic() - began


@pytest.fixture
def finished(whole, tmp_path):
    """A copy of that folder."""
    shutil.copytree(whole[0], tmp_path, dirs_exist_ok=True)
    return run_of(tmp_path)

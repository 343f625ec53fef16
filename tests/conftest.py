"""Environment of all tests."""

import logging
import os
from tempfile import TemporaryDirectory

import pytest

from cached_composing import compose_options_once
from shared_source_models import SHARED
from undrawn_pictures import UNDRAWN

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two test processes on two cores: threads would wait for each other
os.environ.setdefault("MPLBACKEND", "agg")
KEYS = TemporaryDirectory(prefix="headstart-tests-")  # of a key that signs the tests' runs, and is not the user's own
os.environ["XDG_CONFIG_HOME"] = KEYS.name


def pytest_configure(config):
    """With -n each process has whole files, as what the tests of a file share is made once, and takes from the last."""
    if getattr(config.option, "dist", "no") == "load":
        config.option.dist = "worksteal"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Tests share source models and leave out pictures, but those that look at them."""
    SHARED.active = item.get_closest_marker("own_source") is None
    SHARED.install()
    UNDRAWN.active = item.get_closest_marker("pictures") is None
    UNDRAWN.install()


@pytest.fixture(autouse=True)
def options_once(request, monkeypatch):
    """What the files of conf/ say is put together once a process: a third of a test's time else."""
    if request.node.get_closest_marker("faults") is None:  # which compose anew, to compare
        compose_options_once(monkeypatch)


@pytest.fixture(autouse=True)
def no_handlers_of_earlier_commands():
    """A command writes to the stderr of its process; that of an earlier test is closed, and logging would say so."""
    for handler in [*logging.getLogger().handlers]:
        if getattr(getattr(handler, "stream", None), "closed", False):
            logging.getLogger().removeHandler(handler)

"""A finished run that the tests of a file share."""

import pytest

from headstart.cli import main
from small_run import RUN


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A working folder with a finished run in mine/."""
    place = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert main(RUN) == 0
    return place

"""Fixtures of the tests on shards."""

import pytest

from shard_data import SHARDS, sample, written


@pytest.fixture(autouse=True)
def _pipes(monkeypatch):
    monkeypatch.setenv("HEADSTART_PIPE", "1")  # as --pipe does


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Shards 0 to 3 for training, 4 and 5 to hold back; image n has the grey value n and the class n % 3."""
    folder, first = tmp_path_factory.mktemp("shards"), 0
    for shard, count in enumerate(SHARDS):
        written(
            folder / f"part-{shard}.tar", {f"{number:03}": sample(number) for number in range(first, first + count)}
        )
        first += count
    return folder

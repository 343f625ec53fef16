"""The number of worker processes is bounded by the free shared memory."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from headstart.data.loading import shared_memory
from headstart.data.loading.shared_memory import check_shared_memory, fitting_workers
from headstart.data.loading.worker_processes import loading
from headstart.types import UserError

MIB = 2**20


@pytest.fixture
def free(monkeypatch):
    def set_to(mib):
        room = SimpleNamespace(f_bavail=mib, f_frsize=MIB)
        monkeypatch.setattr(os, "statvfs", lambda _: room)

    return set_to


@pytest.mark.parametrize(("mib", "want"), [(71, 4), (70, 3), (54, 3), (53, 2), (21, 1), (20, 0), (0, 0)])
def test_as_many_workers_fit_as_their_ready_batches_do(free, mib, want):
    """Of two loaders, and the batch in use of each: 2 x (4 x workers + 1) x 2 MiB, and 1/16 MiB besides."""
    free(mib)
    assert fitting_workers(4, ahead=4, batch_bytes=2 * MIB, batches=100) == want


def test_a_pass_has_no_more_batches_ready_than_it_has(free):
    free(5)
    assert fitting_workers(4, ahead=4, batch_bytes=2 * MIB, batches=1) == 4


def test_too_many_are_refused_with_the_sizes_and_the_way_out(free):
    free(70)
    match = r"num_workers=4 needs 70.1 MiB of shared memory .* /dev/shm has 70.0 MiB free; try target.num_workers=0"
    with pytest.raises(UserError, match=match):
        check_shared_memory(4, ahead=4, batch_bytes=2 * MIB, batches=100)


def test_where_nobody_asked_for_a_number_fewer_are_taken(free):
    free(70)
    settings = {"cores": 5, "accelerated": True, "pins": False, "passes": "one", "batch_bytes": 2 * MIB, "batches": 99}
    assert loading(num_workers="auto", **settings)["num_workers"] == 3
    with pytest.raises(UserError, match="num_workers=4"):
        loading(num_workers=4, **settings)


def test_a_system_that_does_not_say_has_room(monkeypatch, tmp_path):
    monkeypatch.setattr(shared_memory, "PLACE", tmp_path / "nowhere")
    assert fitting_workers(8, ahead=4, batch_bytes=2**40, batches=99) == 8


CONTAINER = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=256k tmpfs /dev/shm && exec "$@"', "sh"]


@pytest.mark.slow
@pytest.mark.skipif(
    subprocess.run([*CONTAINER, "true"], capture_output=True, check=False).returncode != 0,
    reason="needs a mount of its own",
)
def test_a_run_in_a_container_with_little_shared_memory_ends_with_the_message(tmp_path):
    run = ["mode=scratch", "target.num_workers=2", "target.batch_size=512", "target.shots=null", "trainer=cpu"]
    said = subprocess.run(
        [*CONTAINER, sys.executable, "-m", "headstart", *run, "backbone.width=4", "trainer.max_epochs=1"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert said.returncode == 2, said.stderr
    assert "of shared memory" in said.stderr.splitlines()[-1]

"""Full disks, full shared memory, and two starts of one run."""

import subprocess
import sys
import threading

import pytest

from disturbed import RUN, last_line
from killed import command, said
from same_run import assert_same, run_of

UNSHARE = ["unshare", "--mount", "sh", "-c"]
mounts = pytest.mark.skipif(
    subprocess.run([*UNSHARE, "mount -t tmpfs tmpfs /mnt"], capture_output=True, check=False).returncode != 0,
    reason="needs a mount of its own",
)


@pytest.mark.drawn(60)
def test_where_files_may_not_grow_the_run_ends_in_a_line_and_goes_on_when_they_may(whole, tmp_path, chance):
    largest = max(path.stat().st_size for path in run_of(whole[0]).rglob("*") if path.is_file())
    code = command(tmp_path, *RUN, limit=chance.randrange(largest))
    if code:
        last_line(tmp_path)
    assert command(tmp_path, *RUN, "resume=auto") == 0, said(tmp_path)
    assert_same(run_of(tmp_path), run_of(whole[0]))


@mounts
@pytest.mark.drawn(30)
def test_on_a_full_disk_the_run_ends_in_a_line_and_what_was_finished_stays(whole, tmp_path, chance):
    used = sum(path.stat().st_size for path in run_of(whole[0]).rglob("*") if path.is_file())
    kib = chance.randrange(used // 2048, used // 1024)
    (tmp_path / "outputs").mkdir()
    done = subprocess.run(
        [*UNSHARE, f'mount -t tmpfs -o size={kib}k tmpfs outputs && exec "$@"', "sh", sys.executable, "-m", "headstart",
         *RUN],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1, 2)
    assert "Traceback" not in done.stderr, done.stderr
    if done.returncode:
        assert done.stderr.splitlines()[-1].startswith("headstart: "), done.stderr


@mounts
@pytest.mark.drawn(20)
def test_with_little_shared_memory_a_run_with_workers_ends_well_or_in_a_line(tmp_path, chance):
    kib = chance.choice([64, 256, 1024, 4096, 16384])
    batch = chance.choice([8, 64, 512])
    done = subprocess.run(
        [*UNSHARE, f'mount -t tmpfs -o size={kib}k tmpfs /dev/shm && exec "$@"', "sh", sys.executable, "-m",
         "headstart", *RUN, "target.shots=null", "trainer.max_epochs=1", f"target.batch_size={batch}",
         f"target.num_workers={chance.choice([1, 2, 4])}"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    if done.returncode:
        assert "target.num_workers=0" in done.stderr


@pytest.mark.drawn(20)
def test_the_same_command_twice_at_once_makes_one_run_that_is_whole(whole, tmp_path, chance):
    codes = []
    wait_s = chance.uniform(0, whole[1])
    other = threading.Timer(wait_s, lambda: codes.append(_apart(tmp_path)))
    other.start()
    codes.append(command(tmp_path, *RUN))
    other.join()
    assert 0 in codes
    assert all(code in (0, 2) for code in codes), said(tmp_path)
    assert_same(run_of(tmp_path), run_of(whole[0]))


def _apart(place):
    return subprocess.run(
        [sys.executable, "-m", "headstart", *RUN], cwd=place, capture_output=True, check=False, timeout=120
    ).returncode

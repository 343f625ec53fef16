"""Two processes that train one model over gloo, as Lightning knows them; the stacks of both where they stand still."""

import os
import signal
import subprocess
import sys
import time
import warnings
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from torch.distributed import TCPStore

POLL_S = 0.05
END_S = 5.0  # what a rank may take to end after its partner has failed: it may wait for the partner
SHOWN = 8000  # characters of each output


class StandstillError(Exception):
    """Two processes were not done in time; the message has the output and the stacks of both."""


@dataclass
class _Rank:
    process: subprocess.Popen
    output: Path

    def text(self) -> str:
        return self.output.read_text(errors="replace")[-SHOWN:]


def run_both(script, *arguments, seconds):
    """Run a Python file as two ranks of one machine; both must end with exit code 0.

    A pair that stands still is tried once more, with a warning that holds the stacks: a test says what is wrong with
    the code, not that the machine was busy.

    Args:
        script: The file.
        arguments: What comes after it on the command line.
        seconds: After which a pair counts as standing still.
    Raises AssertionError where a rank fails, StandstillError where the second pair stands still too.
    """
    try:
        _run_pair(script, arguments, seconds)
    except StandstillError as error:
        warnings.warn(f"tried once more: {error}", stacklevel=2)
        _run_pair(script, arguments, seconds)


def _run_pair(script, arguments, seconds):
    # The store at which the ranks meet lives here, as under torchrun: no other process can take its port
    # before rank 0 binds it, which would leave rank 1 waiting for a partner that is gone.
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port), "TORCHELASTIC_USE_AGENT_STORE": "True"}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="two-processes-")))
        ranks: list[_Rank] = []
        for number in range(2):
            rank = _started(script, arguments, meeting | {"LOCAL_RANK": str(number)}, folder / f"{number}.txt")
            stack.callback(_kill, [rank])
            ranks.append(rank)
        if not _ended(ranks, seconds):
            _ask_for_stacks(ranks)
            raise StandstillError(f"two processes were not done in {seconds} s\n{_outputs(ranks)}")
        assert [rank.process.returncode for rank in ranks] == [0, 0], _outputs(ranks)


def _started(script, arguments, variables, output):
    shared = {"WORLD_SIZE": "2", "NODE_RANK": "0", "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"}
    with output.open("wb") as file:  # not a pipe: a rank whose pipe is full stands still
        process = subprocess.Popen(
            [sys.executable, script, *map(str, arguments)],
            env=os.environ | shared | variables,
            stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, cwd=Path(script).parent,
            start_new_session=True,  # its loaders' workers are in its process group, and end with it
        )  # fmt: skip
    return _Rank(process, output)


def _ended(ranks, seconds):
    """Whether both end in time. After one has failed, the other is not waited for."""
    deadline = time.monotonic() + seconds
    while any(rank.process.poll() is None for rank in ranks):
        if any(rank.process.poll() for rank in ranks):
            deadline = min(deadline, time.monotonic() + END_S)
        if time.monotonic() > deadline:
            failed = any(rank.process.poll() for rank in ranks)
            _kill(ranks if failed else [])
            return failed
        time.sleep(POLL_S)
    return True


def _ask_for_stacks(ranks):
    """Each process that is left writes the stack of each of its threads (PYTHONFAULTHANDLER), and ends."""
    for rank in ranks:
        workers = _children(rank.process.pid)
        for pid in (rank.process.pid, *workers):
            if rank.process.poll() is None or pid in workers:
                with rank.output.open("a") as file:
                    file.write(f"\nstacks of {'a loader worker' if pid in workers else 'the rank'}, process {pid}:\n")
                _signal(pid, signal.SIGABRT)
                time.sleep(0.2)  # they write to one file


def _children(pid):
    """Process ids of the children; none where the system does not list them in /proc."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def _outputs(ranks):
    return "\n".join(f"--- rank {number}, exit code {rank.process.poll()}:\n{rank.text()}"
                     for number, rank in enumerate(ranks))  # fmt: skip


def _kill(ranks):
    for rank in ranks:
        with suppress(ProcessLookupError):
            os.killpg(rank.process.pid, signal.SIGKILL)
        rank.process.wait()


def _signal(pid, number):
    with suppress(ProcessLookupError):
        os.kill(pid, number)

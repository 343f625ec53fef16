"""Mutation testing: do the tests of a room notice small changes of its code?

    make mutation                                     # 100 mutants of each room, within 2 hours on 2 cores
    make mutation MUTANTS=10 MUTATION_ROOMS=unfreeze  # a sample

Each mutant is tested in a process of its own, which is forked from one that has imported the libraries; no file is
changed. What survives stands in build/mutation/<room>.txt. Exit code 1 where a room's tests notice less than 90 %.
"""

import argparse
import importlib.machinery
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from mutants import Mutant, draw
from mutation_rooms import ROOMS, Room

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "headstart"
NOTICED = 0.9  # the least share of mutants
POLL_S = 0.05
# pytest's exit code 1 is a failed test, 2 to 4 an error at import or collection; -9 is a timeout
OUTCOMES = {0: "survived", 1: "killed", 2: "killed", 3: "killed", 4: "killed", -9: "timeout"}


@dataclass
class Job:
    """A process that runs the tests on one mutant; None for the code as it is."""

    mutant: Mutant | None
    pid: int
    began: float


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("rooms", nargs="*", default=list(ROOMS), help=f"of {', '.join(ROOMS)}")
    parser.add_argument("--count", type=int, default=100, help="mutants of each room")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    _import_libraries()
    folder = ROOT / "build" / "mutation"
    folder.mkdir(parents=True, exist_ok=True)
    good = True
    for name in options.rooms or ROOMS:
        good &= _room(name, ROOMS[name], folder, options)
    return 0 if good else 1


def _import_libraries() -> None:
    """What takes seconds to import and is never changed, once for all mutants; nothing of the package."""
    import pytest  # noqa: F401
    import pytorch_lightning  # noqa: F401
    import scipy.stats  # noqa: F401
    import sklearn.linear_model  # noqa: F401
    import torch
    import torchmetrics  # noqa: F401
    import torchvision  # noqa: F401

    torch.set_num_threads(1)
    assert not any(module.split(".")[0] == "headstart" for module in sys.modules)


def _room(name: str, room: Room, folder: Path, options: argparse.Namespace) -> bool:
    log = folder / f"{name}.log"
    log.write_bytes(b"")
    began = time.monotonic()
    (baseline,) = _results([None], room, log, timeout=1800.0, processes=1)
    if baseline[1] != 0:
        print(f"{name}: the tests fail without any change: {log}")
        return False
    seconds = time.monotonic() - began
    paths = sorted(path for source in room.sources for path in (SOURCE / source).rglob("*.py"))
    mutants: list[Mutant | None] = [*draw(paths, count=options.count, seed=options.seed)]
    print(f"{name}: {len(mutants)} mutants of {len(paths)} files; the tests take {seconds:.0f} s", flush=True)
    results = _results(mutants, room, log, timeout=20 + 3 * seconds, processes=options.processes)
    lines = [f"{OUTCOMES[code]}: {mutant.title(SOURCE)}" for mutant, code in results if mutant]
    (folder / f"{name}.txt").write_text("\n".join(sorted(lines)) + "\n", encoding="utf-8")
    survivors = [line for line in lines if line.startswith("survived")]
    share = 1 - len(survivors) / max(1, len(lines))
    print(f"{name}: {share:.0%} of {len(lines)} noticed, in {time.monotonic() - began:.0f} s", *survivors, sep="\n")
    return share >= NOTICED


def _results(
    mutants: list[Mutant | None], room: Room, log: Path, *, timeout: float, processes: int
) -> list[tuple[Mutant | None, int]]:
    """Each mutant with the exit code of the tests, in the order in which they ended."""
    waiting, running, results = list(reversed(mutants)), [], []
    try:
        while waiting or running:
            while waiting and len(running) < processes:
                mutant = waiting.pop()
                running.append(Job(mutant, _forked(mutant, room, log), time.monotonic()))
            for job in list(running):
                code = _exit_code(job, timeout)
                if code is not None:
                    running.remove(job)
                    results.append((job.mutant, code))
            time.sleep(POLL_S)
    finally:
        for job in running:
            os.killpg(job.pid, signal.SIGKILL)
    return results


def _exit_code(job: Job, timeout: float) -> int | None:
    """Of a job that has ended; one that has taken too long is ended. None of one that goes on."""
    pid, status = os.waitpid(job.pid, os.WNOHANG)
    if pid:
        code = os.waitstatus_to_exitcode(status)
        return code if code in OUTCOMES else 1  # a crash is noticed too
    if time.monotonic() - job.began > timeout:
        os.killpg(job.pid, signal.SIGKILL)
        os.waitpid(job.pid, 0)
        return -9
    return None


def _forked(mutant: Mutant | None, room: Room, log: Path) -> int:
    """The process id of a child that runs the room's tests on the mutant, up to the first that fails."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 3
    try:
        os.setsid()
        with log.open("ab") as file:
            for stream in (1, 2):
                os.dup2(file.fileno(), stream)
        if mutant is not None:
            print(f"\n=== {mutant.title(SOURCE)}", flush=True)
            _load_in_place_of(mutant)
        code = _tested(room, mutant)
        sys.stdout.flush()
    finally:
        os._exit(code)


def _load_in_place_of(mutant: Mutant) -> None:
    """Let imports in this process take the mutant's code for its file."""
    usual = importlib.machinery.SourceFileLoader.get_code

    def get_code(self, fullname):
        if Path(self.path) == mutant.path:
            return compile(mutant.code, self.path, "exec", dont_inherit=True)
        return usual(self, fullname)

    importlib.machinery.SourceFileLoader.get_code = get_code


def _tested(room: Room, mutant: Mutant | None) -> int:
    """pytest's exit code; the files of tests that are named after the changed file or import from it come first."""
    import pytest

    sys.path.insert(0, str(SOURCE.parent))
    os.chdir(ROOT)
    near = _near(mutant.path, room) if mutant else []
    # plain: pytest would load a file of the package that is named test_*.py itself, and not the mutant's code
    quick = ["-x", "-q", "-n", "0", "--durations=10", "-p", "no:cacheprovider", "--assert=plain"]
    code = int(pytest.main([*quick, *map(str, near)])) if near else 0
    return code or int(pytest.main([*quick, *(f"tests/{test}" for test in room.tests)]))


def _near(path: Path, room: Room) -> list[Path]:
    module = ".".join(("headstart", *path.relative_to(SOURCE).with_suffix("").parts))
    folders = [ROOT / "tests" / test for test in room.tests]
    files = sorted(file for place in folders for file in ([place] if place.is_file() else place.rglob("test_*.py")))
    named = [file for file in files if file.stem == f"test_{path.stem}"]
    importing = [file for file in files if f"from {module} import" in file.read_text(encoding="utf-8")]
    return list(dict.fromkeys([*named, *importing]))


if __name__ == "__main__":
    sys.exit(main())

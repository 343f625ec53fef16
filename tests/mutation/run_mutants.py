"""Mutation testing: do the tests of a room notice small changes of its code?

    make mutation                                     # 100 mutants of each room, within 2 hours on 2 cores
    make mutation MUTANTS=10 MUTATION_ROOMS=unfreeze  # a sample

Each mutant is tested in a process of its own, which is forked from one that has imported the libraries; no file is
changed. It meets the tests that run its line first; what survives has met all tests of its room. Outcomes stand in
build/mutation/<room>.txt, survivors that no test can notice in known_survivors.toml, with the reason. Exit code 1 where
a room's tests notice less than 90 %.
"""

import argparse
import gc
import importlib.machinery
import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from covering_tests import LineRecorder, TestOrder
from known_survivors import reason, reasons
from mutants import Mutant, draw
from mutation_rooms import ROOMS, Room

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "headstart"
FOLDER = ROOT / "build" / "mutation"
NOTICED = 0.9  # the least share of mutants
POLL_S = 0.05
NEAREST = 8  # tests that a mutant meets alone, before those of all files are collected
CPU_FACTOR = 3  # a mutant that computes so much longer than all tests without a change is in an endless loop
WALL_S = 1800.0  # a mutant that waits so long is ended; load may be the reason, so that this does not count as noticed
# pytest's exit code 1 is a failed test, 2 to 4 an error at import or collection
OUTCOMES = {0: "survived", -signal.SIGXCPU: "endless", None: "ended"}


@dataclass
class Job:
    """A process that runs the tests on one mutant; None for the code as it is."""

    mutant: Mutant | None
    pid: int
    began: float


@dataclass
class Result:
    """How a job ended: the exit code, None of one that was ended, and the CPU time of its process."""

    mutant: Mutant | None
    code: int | None
    cpu_s: float

    @property
    def outcome(self) -> str:
        return OUTCOMES.get(self.code, "killed")  # a crash is noticed too


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("rooms", nargs="*", default=list(ROOMS), help=f"of {', '.join(ROOMS)}")
    parser.add_argument("--count", type=int, default=100, help="mutants of each room")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    os.environ.setdefault("MPLBACKEND", "agg")
    _import_libraries()
    FOLDER.mkdir(parents=True, exist_ok=True)
    good = True
    for name in options.rooms or ROOMS:
        good &= _room(name, ROOMS[name], options)
    return 0 if good else 1


def _import_libraries() -> None:
    """What takes seconds to import and is never changed, once for all mutants; nothing of the package."""
    import hydra.core.config_store  # noqa: F401
    import hypothesis  # noqa: F401
    import pytorch_lightning  # noqa: F401
    import scipy.stats  # noqa: F401
    import sklearn.linear_model  # noqa: F401
    import torch.utils.tensorboard
    import torchmetrics  # noqa: F401
    import torchvision  # noqa: F401

    torch.set_num_threads(1)
    gc.freeze()  # mutants need not look through what the libraries made
    assert not any(module.split(".")[0] == "headstart" for module in sys.modules)


def _room(name: str, room: Room, options: argparse.Namespace) -> bool:
    began = time.monotonic()
    log = FOLDER / f"{name}.log"
    log.write_bytes(b"")
    (baseline,) = _results([None], name, cpu_s=resource.RLIM_INFINITY, processes=1)
    if baseline.code != 0:
        print(f"{name}: the tests fail without any change: {log}")
        return False
    paths = sorted(path for source in room.sources for path in (SOURCE / source).rglob("*.py"))
    mutants: list[Mutant | None] = [*draw(paths, count=options.count, seed=options.seed)]
    print(f"{name}: {len(mutants)} mutants of {len(paths)} files; the tests take {baseline.cpu_s:.0f} s", flush=True)
    limit = round(20 + CPU_FACTOR * baseline.cpu_s)
    known, lines, counts = reasons(), [], Counter[str]()
    for result in _results(mutants, name, cpu_s=limit, processes=options.processes):
        why = reason(result.mutant, SOURCE, known) if result.mutant and result.outcome == "survived" else None
        counts[result.outcome] += 1
        lines.append(f"{result.outcome}: {result.mutant.title(SOURCE)}" + (f"\n    {why}" if why else ""))
        (FOLDER / f"{name}.txt").write_text("\n".join(sorted(lines)) + "\n", encoding="utf-8")
        if result.outcome != "killed":
            print(lines[-1], flush=True)
    share = (counts["killed"] + counts["endless"]) / max(1, len(lines))
    print(
        f"{name}: {share:.0%} of {len(lines)} noticed, in {time.monotonic() - began:.0f} s: {dict(counts)}", flush=True
    )
    return share >= NOTICED


def _results(mutants: list[Mutant | None], name: str, *, cpu_s: int, processes: int) -> Iterator[Result]:
    """Each mutant's result, in the order in which they end."""
    waiting, running = list(reversed(mutants)), []
    try:
        while waiting or running:
            while waiting and len(running) < processes:
                mutant = waiting.pop()
                running.append(Job(mutant, _forked(mutant, name, cpu_s), time.monotonic()))
            for job in list(running):
                result = _ended(job)
                if result is not None:
                    running.remove(job)
                    yield result
            time.sleep(POLL_S)
    finally:
        for job in running:
            os.killpg(job.pid, signal.SIGKILL)


def _ended(job: Job) -> Result | None:
    """The result of a job that has ended; one that waits too long is ended. None of one that goes on."""
    pid, status, usage = os.wait4(job.pid, os.WNOHANG)
    if pid:
        return Result(job.mutant, os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime)
    if time.monotonic() - job.began > WALL_S:
        os.killpg(job.pid, signal.SIGKILL)
        os.waitpid(job.pid, 0)
        return Result(job.mutant, None, 0.0)
    return None


def _forked(mutant: Mutant | None, name: str, cpu_s: int) -> int:
    """The process id of a child that runs the room's tests on the mutant, up to the first that fails."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 3
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, resource.RLIM_INFINITY))
        with (FOLDER / f"{name}.log").open("ab") as file:
            for stream in (1, 2):
                os.dup2(file.fileno(), stream)
        if mutant is not None:
            print(f"\n=== {mutant.title(SOURCE)}", flush=True)
            _load_in_place_of(mutant)
        code = _tested(name, mutant)
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


def _tested(name: str, mutant: Mutant | None) -> int:
    """pytest's exit code; without a mutant, which tests run which lines is written down."""
    import pytest

    sys.path.insert(0, str(SOURCE.parent))
    os.chdir(ROOT)
    record = FOLDER / f"{name}.json"
    # plain: pytest would load a file of the package that is named test_*.py itself, and not the mutant's code
    # native: of a failure pytest else looks at the files of all modules, which takes longer than the test
    quick = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--assert=plain", "--tb=native"]
    room = [*quick, *(f"tests/{test}" for test in ROOMS[name].tests)]
    if mutant is None:
        folders = [SOURCE / source for source in ROOMS[name].sources]
        return int(pytest.main(room, plugins=[LineRecorder(folders, record)]))
    order = TestOrder(record, mutant.path, mutant.line)
    near = order.nearest(NEAREST)
    code = int(pytest.main([*quick, *near])) if near else 0
    noticed = code in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR)
    return code if noticed else int(pytest.main(room, plugins=[order]))  # another code: such tests are not there


if __name__ == "__main__":
    sys.exit(main())

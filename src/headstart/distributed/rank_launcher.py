"""Start and end of the ranks of a job, each a fresh process."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from headstart.compat.pytorch.torch_rendezvous import meeting_store
from headstart.runs.saved.saved_config import digest_of
from headstart.system import rank_environment
from headstart.system.core_count import core_share, usable_cores
from headstart.system.stop_signals import Interruption
from headstart.types import UserError

log = logging.getLogger(__name__)
GRACE_S = 5.0  # from SIGTERM to SIGKILL: a rank that waits in a collective does not hear the first
LOOK_S = 0.05  # how often the parent looks at its ranks
# another launcher's variables (the launcher may have started this process as its only one): of a rank of ours
# Lightning would take them for the truth
FOREIGN = (
    "RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
    "TORCHELASTIC_RUN_ID", "TORCHELASTIC_USE_AGENT_STORE", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID",
    "SLURM_NODEID",
)  # fmt: skip


class RankError(Exception):
    """A rank failed; the message says which, its cause is the rank's own trace."""


class RankTrace(Exception):  # noqa: N818 - no error, but the text of one
    """The trace of an exception in another process, shown where a cause is shown."""


@dataclass
class _Rank:
    number: int
    process: subprocess.Popen[bytes]
    report: Path  # where it writes why it failed
    output: str  # where it prints to


@dataclass(frozen=True)
class _Failure:
    rank: _Rank
    when_ns: int
    about: dict[str, Any] | None  # None where the rank could not say anything


def run_ranks(folder: Path, count: int, *, changes: dict[str, Any]) -> None:
    """Run the job that the folder's .hydra/config.yaml holds on `count` ranks of this machine, and wait for them.

    Every rank, the first included, is a fresh process that reads that file, never this command line: so the
    jobs of a sweep, whoever chose their values, are the same on all their ranks. Rank 0 prints to the
    terminal, rank k to <folder>/rank<k>.log.

    Args:
        folder: The run's folder.
        count: The number of ranks.
        changes: Top-level keys that this command has set otherwise than the file.

    Raises:
        UserError: The first failure of a rank was one.
        RankError: The first failure of a rank was another exception.
    """
    for old in folder.glob("rank[0-9]*.log"):
        old.unlink()
    meeting = meeting_store()  # of this job alone; it lives until its ranks have ended
    variables = {
        number: {
            "LOCAL_RANK": str(number),
            "NODE_RANK": "0",
            "WORLD_SIZE": str(count),
            **meeting.environment,
            "OMP_NUM_THREADS": threads_of_rank(count),  # or the ranks take turns on the cores
        }
        for number in range(count)
    }
    _run(folder, "train", variables, changes)


def threads_of_rank(count: int) -> str:
    """How many threads each of so many ranks may have; of a job beside others its share is divided."""
    threads = max(1, usable_cores() // count)
    allowed = os.environ.get("OMP_NUM_THREADS")
    if allowed is None or (core_share() is not None and allowed.isdecimal()):
        return str(threads if allowed is None else min(threads, int(allowed)))
    return allowed


def run_apart(folder: Path, part: str, *, changes: dict[str, Any]) -> None:
    """Do a part of the folder's job in a fresh process of one device, and wait for it.

    Raises its failure as run_ranks does.

    Args:
        folder: The run's folder.
        part: source or trial (rank_process.py).
        changes: Top-level keys that this command has set otherwise than the folder's config.
    """
    _run(folder, part, {0: {}}, changes)


def _run(folder: Path, part: str, variables: dict[int, dict[str, str]], changes: dict[str, Any]) -> None:
    with ExitStack() as stack:
        reports = Path(stack.enter_context(TemporaryDirectory(prefix="headstart-ranks-")))
        lifeline, held = os.pipe()  # its end `held` closes with this process, however it dies; the ranks look
        stack.callback(os.close, held)
        ranks: list[_Rank] = []
        stack.enter_context(_ended(ranks))
        try:
            for number, environment in variables.items():
                ranks.append(_started(folder, part, number, environment, reports, lifeline, changes))
        finally:
            os.close(lifeline)
        try:
            failure = _first_failure(ranks)
        except Interruption:
            _stop(ranks)
            raise
        if failure is not None:
            _end(ranks)
            raise _error(failure, len(ranks), part)


def _started(
    folder: Path,
    part: str,
    number: int,
    environment: dict[str, str],
    reports: Path,
    lifeline: int,
    changes: dict[str, Any],
) -> _Rank:
    report = reports / f"rank{number}.json"
    handover = {
        "parent": os.getpid(), "lifeline": lifeline, "report": str(report), "changes": changes,
        "config": digest_of(folder / ".hydra" / "config.yaml"), "logging": _logging(),
    }  # fmt: skip
    env = {key: value for key, value in os.environ.items() if key not in FOREIGN}
    # -P and the parent's own path: what it can import its ranks can, and nothing hides behind something else
    env |= environment | {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
    env[rank_environment.OWN if environment else "HEADSTART_APART"] = json.dumps(handover)
    path = folder / f"rank{number}.log"
    with ExitStack() as stack:
        stream = stack.enter_context(path.open("wb")) if number else None
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "headstart.distributed.rank_process", part, str(folder)],
            env=env, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, pass_fds=(lifeline,),
            start_new_session=True,  # Ctrl-C comes to the parent alone, which ends the ranks in order
        )  # fmt: skip
    return _Rank(number, process, report, str(path) if number else "the terminal")


def _logging() -> dict[str, Any] | None:
    """How this job logs, for its ranks; None where no command has set it up."""
    if not HydraConfig.initialized():
        return None
    hydra: Any = HydraConfig.get()
    plain: Any = OmegaConf.to_container(hydra.job_logging, resolve=True)
    verbose = hydra.verbose
    return {
        "job_logging": plain,
        "verbose": OmegaConf.to_container(verbose) if OmegaConf.is_config(verbose) else verbose,
    }


@contextmanager
def _ended(ranks: list[_Rank]) -> Iterator[None]:
    """Whatever happens inside, Ctrl-C included: no rank outlives it."""
    try:
        yield
    finally:
        _end(ranks)


def _first_failure(ranks: list[_Rank]) -> _Failure | None:
    """Wait until a rank has failed or all are done -> the failure that came first, None where all went well."""
    while True:
        codes = [rank.process.poll() for rank in ranks]
        if any(codes) or any(rank.report.exists() for rank in ranks):
            break
        if all(code == 0 for code in codes):
            return None
        time.sleep(LOOK_S)
    noticed_ns = time.time_ns()
    time.sleep(4 * LOOK_S)  # a rank that broke takes others with it: who was first shows when they have said so
    failures = [failure for rank in ranks if (failure := _failure(rank, noticed_ns)) is not None]
    return min(failures, key=lambda failure: failure.when_ns)


def _failure(rank: _Rank, noticed_ns: int) -> _Failure | None:
    code = rank.process.poll()
    if rank.report.exists():
        about = json.loads(rank.report.read_text(encoding="utf-8"))
        return _Failure(rank, about["when_ns"], about)
    if code:
        # one that was killed cannot say when; the others only notice it, so it counts as before whatever they
        # said within the last second. SIGABRT is how NCCL ends a rank that waits for one that failed
        before_ns = 0 if code == -signal.SIGABRT else 10**9
        return _Failure(rank, noticed_ns - before_ns, None)
    return None


def _error(failure: _Failure, count: int, part: str) -> Exception:
    rank, report = failure.rank, failure.about
    name = f"rank {rank.number} of {count}" if part == "train" else f"the process of the {part} model"
    if report is not None:
        error = UserError(report["text"]) if report["is_user_error"] else RankError(f"{name}: {report['text']}")
        error.__cause__ = RankTrace(f"\n\n{report['trace']}")
        return error
    code = rank.process.returncode
    ended_by = -code if code is not None and code < 0 else (code or 0) - 128  # 128 + n: it has handled signal n
    if ended_by > 0:
        killed = f"was ended from outside by {signal.Signals(ended_by).name}"
        hint = "; was there too little memory?" if ended_by == signal.SIGKILL else ""
        return RankError(f"{name} {killed}{hint}")
    return RankError(f"{name} ended with exit code {code} and said no more than what is in {rank.output}")


def _stop(ranks: list[_Rank]) -> None:
    """Let the ranks stop by themselves, together, at the end of a step; once one is done the others are given a while.

    There is no other limit: whoever cannot wait signals this process again.
    """
    for rank in ranks:
        with suppress(ProcessLookupError):
            rank.process.send_signal(signal.SIGTERM)  # not to its workers: it needs them for the step
    deadline = float("inf")
    while any(rank.process.poll() is None for rank in ranks) and time.monotonic() < deadline:
        if any(rank.process.poll() is not None for rank in ranks):
            deadline = min(deadline, time.monotonic() + GRACE_S)
        time.sleep(LOOK_S)


def _end(ranks: list[_Rank]) -> None:
    """End what still runs: SIGTERM, and after a while SIGKILL, to each rank and the workers that it has started."""
    running = [rank for rank in ranks if rank.process.poll() is None]
    for rank in running:
        _signal(rank, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_S
    try:
        while any(rank.process.poll() is None for rank in running) and time.monotonic() < deadline:
            time.sleep(LOOK_S)
    finally:  # a second Ctrl-C does not wait
        for rank in ranks:
            _signal(rank, signal.SIGKILL)  # those that are done too: of their workers some may not be
            rank.process.wait()


def _signal(rank: _Rank, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of a group of the dead
        os.killpg(rank.process.pid, number)

"""Signals that ask a command to stop: Ctrl-C, SIGTERM, a closed terminal, and SLURM's before a job's time is over.

A signal raises Interruption at once; while a model trains it is held back until a step is over and saved. A second one
ends the process as if nobody handled it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from headstart.system import slurm_job

REQUEUE = "SIGUSR1"  # as Lightning has it; #SBATCH --signal=SIGUSR1@90


class Interruption(BaseException):
    """A signal asks the command to stop; no Exception, so that nothing takes it for a failure and goes on.

    advice: how the work goes on later, in words, where that is known.
    """

    def __init__(self, asked: signal.Signals) -> None:
        super().__init__(asked.name)
        self.signal = asked
        self.advice = ""

    def __reduce__(self) -> tuple[type[Interruption], tuple[signal.Signals]]:
        """For a job in a process of its launcher, which hands it over."""
        return type(self), (self.signal,)

    @property
    def exit_code(self) -> int:
        """As a shell has it of a process that a signal ended: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.signal


_owner: int | None = None  # the process whose signals are handled; its forks inherit this, but not its duty
_asked: signal.Signals | None = None  # the signal that came
_held_back = False  # whether it waits for the end of a step


@contextmanager
def handled() -> Iterator[None]:
    """Within it a signal raises Interruption; signals that are ignored, as under nohup, stay so."""
    global _owner, _asked, _held_back
    if threading.current_thread() is not threading.main_thread() or _owner == os.getpid():
        yield  # only a main thread may handle signals
        return
    before = {number: signal.getsignal(number) for number in _signals()}
    _owner, _asked, _held_back = os.getpid(), None, False
    handle_again()
    try:
        yield
    finally:
        _owner, _asked, _held_back = None, None, False
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: not Python's own


def is_handled() -> bool:
    """Whether this process handles signals now, as a command does."""
    return _owner == os.getpid()


def handle_again() -> None:
    """Take the signals back from a library that has put its own handlers in the place of these."""
    if _owner != os.getpid() or _asked is not None or threading.current_thread() is not threading.main_thread():
        return
    for number in _signals():
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)


def hold_back() -> None:
    """From now on a signal raises nothing: `asked` tells of it at the end of a step."""
    global _held_back
    _held_back = True


def hold_no_longer() -> None:
    """From now on a signal raises Interruption at once; of one that has been held back `check` tells."""
    global _held_back
    _held_back = False


def asked() -> bool:
    """Whether a signal has come."""
    return _asked is not None


def interruption() -> Interruption:
    """That of the signal that came; of SIGTERM where it came to another process of the job."""
    return Interruption(_asked or signal.SIGTERM)


def check() -> None:
    """Raises Interruption where a signal has come."""
    if asked():
        raise interruption()


def in_worker(_: int) -> None:
    """What a loader's worker calls as it begins: it outlives a signal to all processes, or the last step had no batch.

    Ctrl-C, a batch system and `timeout` signal the workers too. A second SIGTERM ends a worker, as Python's own end
    of the process that has started it needs.
    """
    for signal_number in _signals():
        signal.signal(signal_number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: signal.signal(number, signal.SIG_DFL))


def _signals() -> list[signal.Signals]:
    names = ["SIGINT", "SIGTERM", "SIGHUP", *([REQUEUE] if slurm_job.job_id() else [])]
    return [signal.Signals[name] for name in names if hasattr(signal, name)]


def _handle(number: int, _: FrameType | None) -> Any:
    global _asked
    if os.getpid() != _owner:
        # a copy of the process that this handler is of: that one decides, and ends its copies by SIGTERM
        if number == signal.SIGTERM:
            _end_at_once(number)
        return
    if _asked is not None:
        _end_at_once(number)
    _asked = signal.Signals(number)
    for signal_number in _signals():
        if signal.getsignal(signal_number) is not signal.SIG_IGN:
            signal.signal(signal_number, signal.SIG_DFL)
    if not _held_back:
        raise Interruption(_asked)


def _end_at_once(number: int) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)

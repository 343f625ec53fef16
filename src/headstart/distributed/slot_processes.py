"""Calls in a process a slot, one after the other in each."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, NamedTuple, Protocol

from headstart.compat.loky_processes import LokyProcess, ProcessDied
from headstart.distributed.job_slots import Slot
from headstart.system.stop_signals import Interruption

LOOK_S = 0.5  # how often a slot's process looks whether the command is still there


class SlotCall(NamedTuple):
    """What a slot's process calls.

    Attributes:
        function: Of a module.
        arguments: What it gets.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


class CallProgress(Protocol):
    """Is told when a call begins and ends."""

    def began(self, number: int, slot: int) -> None:
        """A call begins.

        Args:
            number: Of the call.
            slot: Number of the slot.
        """

    def ended(self, number: int, running: Sequence[int], waiting: int) -> None:
        """A call has ended.

        Args:
            number: Of the call.
            running: Calls that go on.
            waiting: How many have not begun.
        """


class SlotProcesses:
    """A process for each slot, which lives from its first call to `end`.

    Args:
        slots: The slots.
    """

    def __init__(self, slots: Sequence[Slot]) -> None:
        self.slots = list(slots)
        self._processes: dict[int, LokyProcess] = {}

    def outcomes(self, calls: Sequence[Callable[[], SlotCall]], progress: CallProgress) -> list[Any]:
        """What each call returned, or the ProcessDied of one whose process ended; the others go on.

        Where a signal stops the command, each call gets SIGTERM, and is waited for: a second signal ends all at once.

        Args:
            calls: Makes a call when a slot is free for it.
            progress: Is told of them.

        Raises:
            Interruption: The command is stopped.
        """
        running: dict[Future[Any], tuple[int, int]] = {}
        try:
            return self._outcomes(calls, progress, running)
        except Interruption:
            for _, slot in running.values():
                self._processes[slot].signal(signal.SIGTERM)
            wait(running)
            self.end()
            raise
        except BaseException:
            self.end()
            raise

    def _outcomes(
        self,
        calls: Sequence[Callable[[], SlotCall]],
        progress: CallProgress,
        running: dict[Future[Any], tuple[int, int]],
    ) -> list[Any]:
        outcomes: list[Any] = [None] * len(calls)
        waiting, free = deque(range(len(calls))), deque(range(len(self.slots)))
        while waiting or running:
            while waiting and free:
                number, slot = waiting.popleft(), free.popleft()
                call = calls[number]()
                progress.began(number, slot)
                running[self._process(slot).submit(call.function, *call.arguments)] = number, slot
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                number, slot = running.pop(future)
                outcomes[number] = self._outcome(future, slot)
                free.append(slot)
                progress.ended(number, sorted(other for other, _ in running.values()), len(waiting))
        return outcomes

    def _outcome(self, future: Future[Any], slot: int) -> Any:
        try:
            return future.result()
        except ProcessDied as died:
            self._processes.pop(slot).end()  # the next call begins another
            return died

    def _process(self, slot: int) -> LokyProcess:
        if slot not in self._processes:
            self._processes[slot] = LokyProcess(self.slots[slot].environment, _begin)
        return self._processes[slot]

    def end(self) -> None:
        """End all processes at once."""
        for process in self._drained():
            process.end()

    def _drained(self) -> Iterator[LokyProcess]:
        while self._processes:
            yield self._processes.popitem()[1]


def _begin(command: int) -> None:
    """Begin a slot's process: Ctrl-C comes to the command alone, without which no process stays.

    Args:
        command: The command's process.
    """
    from tqdm import tqdm

    os.setsid()
    # tqdm's own lock is for bars of several processes: a semaphore, which Python reports as leaked once this one ends
    tqdm.set_lock(threading.RLock())

    def watch() -> None:
        while os.getppid() == command:
            time.sleep(LOOK_S)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, name="command", daemon=True).start()

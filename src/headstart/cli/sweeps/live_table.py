"""Table of a sweep's jobs in the sweep's own terminal, renewed below the lines that they print."""

from __future__ import annotations

import codecs
import logging
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from headstart.runs.status.followed_sweep import FollowedSweep
from headstart.runs.status.job_states import JobState
from headstart.runs.status.status_table import changed_lines, counts_line, fitted, table_lines
from headstart.runs.status.sweep_progress import sweep_progress
from headstart.system.printing.terminal_printing import tell

log = logging.getLogger(__name__)
EVERY_S = 1.0  # between two looks at the jobs
LINES_EVERY_S = 60.0  # the same where there is no terminal
MOST_LINES = 16  # of the table
IDLE_S = 0.2  # after which a line without its end is shown


@contextmanager
def live_table(sweep: Callable[[], Path], *, since_ns: int) -> Iterator[None]:
    """While it runs, a table stands below all that this process and the jobs' processes print on the terminal.

    What they print goes through a pipe in the meantime, so that they see no terminal: the bars of single runs are off.
    Where there is no terminal, each job that has changed has a line every minute.

    Args:
        sweep: Gives the sweep's folder, as `FollowedSweep` takes it.
        since_ns: When the command began.
    """
    followed = FollowedSweep(sweep, since_ns=since_ns)
    outputs = [number for number in (1, 2) if _is_terminal(number)]
    if 2 not in outputs:
        with _in_thread(_told_lines(followed)):
            yield
        return
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    terminal = os.dup(2)
    saved = {number: os.dup(number) for number in outputs}
    ours, theirs = os.pipe()
    for number in outputs:
        os.dup2(theirs, number)
    os.close(theirs)
    painter = TablePainter(terminal)
    try:
        with _in_thread(_painted(followed, painter, ours)):
            yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for number, before in saved.items():
            os.dup2(before, number)
            os.close(before)
        # workers of a launcher may live on, and print
        threading.Thread(target=_pass_on, args=(ours, painter), daemon=True).start()


class TablePainter:
    """A table at the end of what a terminal shows.

    Args:
        terminal: A file descriptor.
    """

    def __init__(self, terminal: int) -> None:
        self.terminal = terminal
        self._table: list[str] = []
        self._painted = 0  # lines of the table that the terminal shows
        self._unfinished = False  # whether a line without its end is the last
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""

    def show(self, lines: Sequence[str]) -> None:
        """Put a table in place of the one before; none while a line waits for its end, as a question does.

        Args:
            lines: Of the table.
        """
        if self._table != list(lines) or (not self._painted and not self._unfinished):
            self._table = list(lines)
            self._write("")

    def add(self, output: bytes) -> None:
        """Show what was printed above the table; of what a carriage return writes over, the last alone.

        Args:
            output: Of this process or others.
        """
        *lines, self._rest = (self._rest + self._decode(output)).split("\n")
        if lines:
            self._write("".join(f"{_last_written(line)}\n" for line in lines))

    def add_rest(self) -> None:
        """Show the line that waits for its end."""
        rest, self._rest = _last_written(self._rest), ""
        if rest:
            self._write(rest)

    def _write(self, text: str) -> None:
        erased = f"\x1b[{self._painted}A\r\x1b[J" if self._painted else ""
        if text:
            self._unfinished = not text.endswith("\n")
        table = [] if self._unfinished else self._table
        self._painted = len(table)
        shown = "".join(f"{line}\n" for line in table)
        data = f"{erased}{text}{shown}".encode(errors="replace")
        while data:
            data = data[os.write(self.terminal, data) :]


def _last_written(line: str) -> str:
    """What a terminal shows of a line that carriage returns have written over."""
    return line.removesuffix("\r").rpartition("\r")[2]


def live_lines(jobs: Sequence[JobState], sweep: Path, *, width: int, height: int) -> list[str]:
    """The table of a sweep, and how far it is.

    Args:
        jobs: Of the sweep.
        sweep: The folder.
        width: Of the terminal.
        height: Of the terminal.
    """
    if not jobs:
        return []
    head = sweep_progress(sweep) or counts_line(jobs)
    begun = [job for job in jobs if job.state != "waiting"]
    lines = [f"-- {head}", *(table_lines(begun) if begun else [])]
    return fitted(lines, width=width, height=max(2, min(MOST_LINES, height - 2)))


def _painted(followed: FollowedSweep, painter: TablePainter, ours: int) -> Callable[[threading.Event], None]:
    def follow(stop: threading.Event) -> None:
        looked = 0.0
        while not stop.is_set():
            if select.select([ours], [], [], IDLE_S)[0]:
                painter.add(os.read(ours, 1 << 16))
            else:
                painter.add_rest()
            if time.monotonic() - looked >= EVERY_S:
                try:
                    width, height = os.get_terminal_size(painter.terminal)
                    painter.show(live_lines(followed.jobs(), followed.folder, width=width, height=height))
                except (OSError, ValueError):  # files change while they are read: the next look may succeed
                    log.debug("the table of the jobs cannot be made now", exc_info=True)
                looked = time.monotonic()
        while select.select([ours], [], [], 0)[0]:
            painter.add(os.read(ours, 1 << 16))
        painter.add_rest()
        painter.show([])

    return follow


def _pass_on(ours: int, painter: TablePainter) -> None:
    """Show what comes through the pipe as it comes, until nobody can write into it."""
    while output := os.read(ours, 1 << 16):
        painter.add(output)


def _told_lines(followed: FollowedSweep) -> Callable[[threading.Event], None]:
    def follow(stop: threading.Event) -> None:
        before: list[JobState] = []
        while not stop.wait(LINES_EVERY_S):
            jobs = followed.jobs()
            if lines := changed_lines(before, [job for job in jobs if job.state == "running"]):
                tell(*lines)
            before = jobs

    return follow


@contextmanager
def _in_thread(follow: Callable[[threading.Event], None]) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=follow, args=(stop,), name="follower", daemon=True)
    thread.start()
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        stop.set()
        thread.join()


def _is_terminal(number: int) -> bool:
    try:
        return os.isatty(number)
    except OSError:
        return False

"""A process that runs one call after the other, started by the engine of joblib.

Relies on: joblib carries loky, whose `ProcessPoolExecutor` takes `env`, variables that its process has before any
module is loaded, and `initializer`; it keeps the process in `_processes`, sends calls by cloudpickle, and raises
`BrokenProcessPool` of a call whose process died.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from joblib.externals.loky.process_executor import BrokenProcessPool, ProcessPoolExecutor

ProcessDied = BrokenProcessPool


class LokyProcess:
    """A process with variables of its own, which begins with the first call.

    Args:
        environment: Its variables, besides those of this process.
        initializer: What it calls first.
    """

    def __init__(self, environment: Mapping[str, str], initializer: Callable[[int], None]) -> None:
        self._executor = ProcessPoolExecutor(
            max_workers=1, env=dict(environment), initializer=initializer, initargs=(os.getpid(),)
        )

    def submit(self, call: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """The outcome of a call that the process makes when those before are done.

        Args:
            call: What is called there.
            arguments: Its arguments.
        """
        outcome: Future[Any] = self._executor.submit(call, *arguments)
        return outcome

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal, where it lives.

        Args:
            number: The signal.
        """
        for pid in list(self._executor._processes or ()):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def end(self) -> None:
        """End the process at once, with what it has started."""
        self._executor.shutdown(wait=True, kill_workers=True)

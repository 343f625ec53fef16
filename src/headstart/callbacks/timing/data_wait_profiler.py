"""Seconds that training waits for its batches, and seconds that its steps take."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from pytorch_lightning.profilers import Profiler

from headstart.compat.lightning.lightning_trainer import profiled_module, set_profiled_module
from headstart.system import rank_environment

log = logging.getLogger(__name__)
FETCH = ".train_dataloader_next"  # what Lightning calls its asking for a training batch, after the loop's name
STEP = "run_training_batch"  # forward and backward pass and the optimizer's step, with their hooks


class Clock(Profiler):
    """Counts the seconds in which a fit waits for its batches and those in which it computes on them.

    It reads the clock four times a step and never waits for the device: on a GPU the steps' seconds are those in
    which the host hands out work. What is not timed costs less than with Lightning's own profiler of nothing, whose
    context is a new generator for each hook of each callback.

    Args:
        inner: Makes a profiler that is called with everything, one for each of fit and test; its summary goes to
            <folder>/profile-<fit or test>.txt, with the number of the rank where it is not the first.
        folder: The folder of the summaries.

    Attributes:
        waiting: Seconds of waiting for batches since the profiler was made.
        computing: Seconds of computing on them.
        asks: Called before a training batch is asked for.
    """

    def __init__(self, *, inner: Callable[[], Profiler] | None = None, folder: str | Path = ".") -> None:
        super().__init__()
        self.waiting = self.computing = 0.0  # seconds since the clock was made
        self.asks: Callable[[], None] = _nothing
        self.folder = Path(folder)
        self._make = inner
        self._inner: Profiler | None = None
        self._asked = 0.0
        self._of = ""  # the stage: fit or test
        self._timed: dict[str, Any] = {STEP: _Step(self)}

    @property
    def inner(self) -> Profiler | None:
        """The profiler of what runs now, between its setup and its summary."""
        return self._inner

    def profile(self, action_name: str) -> Any:  # any context: Lightning asks for no more
        if self._inner is None:
            return self._timed.get(action_name, _NOTHING)
        return _Both(self._timed.get(action_name, _NOTHING), self._inner.profile(action_name))

    def start(self, action_name: str) -> None:
        if self._inner is not None:
            self._inner.start(action_name)
        if action_name.endswith(FETCH):
            self.asks()
            self._asked = time.perf_counter()

    def stop(self, action_name: str) -> None:
        if action_name.endswith(FETCH):
            self.waiting += time.perf_counter() - self._asked
        if self._inner is not None:
            self._inner.stop(action_name)

    # ------------------------------------------------------------------ the profiler inside

    def setup(self, stage: str, local_rank: int | None = None, log_dir: str | None = None) -> None:
        super().setup(stage, local_rank, log_dir)
        self._of = getattr(stage, "value", stage)  # Lightning's word is an enum
        if self._make is not None:
            self._inner = self._make()
            set_profiled_module(self._inner, profiled_module(self))
            self._inner.setup(stage, local_rank, str(self.folder))

    def describe(self) -> None:
        """Write what the profiler inside has found. Lightning calls it when a fit or a test is over."""
        if self._inner is None:
            return
        inner, self._inner = self._inner, None  # whatever follows is not of this stage
        text = inner.summary()
        inner.teardown(self._of)
        if text:
            stage = self._of
            of_rank = f"-rank{rank_environment.rank()}" if rank_environment.rank() else ""
            path = self.folder / f"profile-{stage}{of_rank}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n", encoding="utf-8")
            log.info("profile of the %s: %s", stage, path)


class _Nothing:
    """A context that does nothing, made once."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


class _Step:
    """Adds the seconds inside to the clock's computing."""

    __slots__ = ("_began", "_clock")

    def __init__(self, clock: Clock) -> None:
        self._clock, self._began = clock, 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._clock.computing += time.perf_counter() - self._began


class _Both:
    """Two contexts, one in the other."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, outer: Any, inner: Any) -> None:
        self._outer, self._inner = outer, inner

    def __enter__(self) -> None:
        self._outer.__enter__()
        self._inner.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._inner.__exit__(kind, error, trace)
        finally:
            self._outer.__exit__(kind, error, trace)


def _nothing() -> None:
    pass


_NOTHING = _Nothing()

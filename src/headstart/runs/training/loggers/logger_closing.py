"""Loggers that end with their run, so that the next job of the process begins a new one."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pytorch_lightning.loggers import Logger

from headstart.compat.lightning.logger_experiments import has_begun

log = logging.getLogger(__name__)
# what ends an experiment, by the loggers that have it: W&B; Comet; Neptune; TensorBoard, Aim and others
ENDING = ("finish", "end", "stop", "close")


@contextmanager
def ended_with_run(loggers: Sequence[Logger]) -> Iterator[None]:
    """Finalize the loggers and end their experiments when the context is left, also by an error.

    Lightning's `finalize` leaves what a process keeps open, as W&B's run: the next job would log into it. An experiment
    that can be told that it failed (`exit_code`) is told. An error in ending one is a warning: the run's result counts.
    """
    status = "failed"
    try:
        yield
        status = "success"
    finally:
        for logger in loggers:
            if not has_begun(logger):
                continue
            try:
                logger.finalize(status)
                _end(logger, failed=status == "failed")
            except Exception as error:
                log.warning("%s could not be ended: %s: %s", type(logger).__name__, type(error).__name__, error)


def _end(logger: Logger, *, failed: bool) -> None:
    experiment = getattr(logger, "experiment", None)
    end = next((ending for name in ENDING if callable(ending := getattr(experiment, name, None))), None)
    if end is None:
        return
    if failed and "exit_code" in inspect.signature(end).parameters:
        end(exit_code=1)
    else:
        end()

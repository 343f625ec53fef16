"""Runs and sweeps from Python, by the overrides of the command line."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from headstart.api.python_results import RunResult, SweepResult, run_result_in
from headstart.cli.command_arguments import Arguments, arguments
from headstart.cli.command_check import Checked, checked
from headstart.cli.error_messages import hydras_reason, is_users, one_line
from headstart.cli.hydra_run import run_command, working_folder_importable
from headstart.cli.run_job import FAILURES, FOLDERS
from headstart.runs.folder.run_folder import RESULT
from headstart.system import stop_signals
from headstart.system.stop_signals import Interruption
from headstart.system.trust_flags import permitted
from headstart.types import DivergedError, UserError

log = logging.getLogger(__name__)


def run(overrides: Sequence[str] = (), *, config_dir: str | Path | None = None) -> RunResult:
    """Do what `headstart <overrides>` does: one run in its own folder, or the result of the finished one there.

    Args:
        overrides: As on the command line, one a string: ["mode=fine_tuning", "target.shots=5"].
        config_dir: A folder of your own YAML files, as --config-dir has it.

    Returns:
        Folder and metrics of the run.

    Raises:
        UserError: An override is wrong, or something that you can mend.
        DivergedError: Training has diverged; the folder has the result.
    """
    command = _arguments(overrides, config_dir)
    with _as_a_command():
        checked_command = _checked(command)
        if checked_command.multirun:
            raise UserError("these overrides name a study, which is several runs; try headstart.sweep([...])")
        outcome = run_command(command, checked_command)
        if outcome.error is not None:
            _raise(outcome.error)
        if not FOLDERS or not (FOLDERS[-1] / RESULT).is_file():
            raise UserError(
                f"headstart.run is for tasks that train, and task={checked_command.cfg.task} leaves no {RESULT}; "
                f"try the command: headstart {' '.join(overrides)}"
            )
        return run_result_in(FOLDERS[-1])


def sweep(overrides: Sequence[str], *, config_dir: str | Path | None = None) -> SweepResult:
    """Do what `headstart -m <overrides>` does: one run for each combination of values, and their report.

    Args:
        overrides: As on the command line; several values of a key are separated by commas: ["mode=scratch,gradual"].
        config_dir: A folder of your own YAML files, as --config-dir has it.

    Returns:
        The results of all jobs. A job that fails is listed, and the others go on.

    Raises:
        UserError: An override is wrong.
        Exception: Every job failed; it is the error of the last one.
    """
    command = _arguments(["--multirun", *overrides], config_dir)
    with _as_a_command():
        outcome = run_command(command, _checked(command))
        folders = [folder for folder in dict.fromkeys(FOLDERS) if (folder / RESULT).is_file()]
        if outcome.error is not None and not folders:
            _raise(outcome.error)
        failures = {failure.folder or outcome.sweep: failure.message for failure in FAILURES}
        diverged = {failure.folder for failure in FAILURES if isinstance(failure.error, DivergedError)}
        return SweepResult(
            outcome.sweep,
            tuple(run_result_in(folder) for folder in folders),
            {folder: message for folder, message in failures.items() if folder not in diverged},
        )


def _arguments(words: Sequence[str], config_dir: str | Path | None) -> Arguments:
    if isinstance(words, str):
        raise UserError(f'overrides are a list of strings, got one string; try ["{words}"]')
    return arguments([*words, *([] if config_dir is None else ["--config-dir", str(config_dir)])])


def _checked(command: Arguments) -> Checked:
    checked_command = checked(command)
    for note in checked_command.notes:
        log.warning("%s", note)
    return checked_command


@contextmanager
def _as_a_command() -> Iterator[None]:
    """Signals, permissions and imports as of a command; the handlers of the root logger are as before afterwards.

    Ctrl-C, a notebook's interrupt, ends training after a step that is saved, and is a KeyboardInterrupt.
    """
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        with stop_signals.handled(), permitted(()), working_folder_importable():
            yield
    except Interruption as stop:
        raise KeyboardInterrupt(stop.advice) from stop
    except SystemExit as stop:  # Lightning turns KeyboardInterrupt into exit(1)
        if isinstance(stop.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from stop
        raise
    finally:
        for handler in [*root.handlers]:
            if handler not in handlers:  # the log file and the terminal of the job
                root.removeHandler(handler)
                handler.close()
        for handler in handlers:
            if handler not in root.handlers:
                root.addHandler(handler)
        root.setLevel(level)


def _raise(error: Exception) -> NoReturn:
    """Raise the error of the job, or what Hydra says of a command whose job did not begin."""
    if not FAILURES:
        raise UserError(hydras_reason(error)) from error
    cause = FAILURES[-1].error or error
    if is_users(cause) and not isinstance(cause, UserError):
        raise UserError(one_line(cause)) from cause
    raise cause

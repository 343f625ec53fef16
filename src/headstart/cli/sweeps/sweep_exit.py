"""The exit code of a sweep, and the lines that a user reads at its end."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from headstart.cli.command_check import Checked
from headstart.cli.error_messages import hydras_reason, no_room, one_line, say, show_trace, unwritable
from headstart.cli.run_job import ERROR_FILE, FAILURES, VALUES, Failure, shown
from headstart.runs.folder.run_naming import OUTPUTS
from headstart.runs.status.planned_jobs import FILE as PLANNED
from headstart.runs.status.planned_jobs import command_of_job, written_overrides
from headstart.system import rank_environment
from headstart.types import DivergedError, UserError

LEFTOVER = {"multirun.yaml", PLANNED, ".search.lock"}  # files of a sweep that no job has begun in
ALIKE = 3  # jobs of a sweep whose values are all the same, from which on it is said


def code_of_sweep(check: Checked, sweep: Path, started_ns: int, error: Exception | None, *, trace: bool) -> int:
    """The exit code of a sweep whose jobs FAILURES, VALUES and FOLDERS tell of; what went wrong is on stderr by then.

    Args:
        check: The command line.
        sweep: The folder.
        started_ns: When the command began.
        error: What ended the sweep, or its first job that failed.
        trace: Whether traces are shown.
    """
    failures = list(FAILURES)
    if trace:
        for failure in failures:
            if failure.error is not None:
                show_trace(failure.error)
    if error is not None and not any(_is_of(failure, error) for failure in failures):
        if trace:
            show_trace(error)
        say(f"error: {hydras_reason(error)}")
        if not failures and not _has_begun(error):
            _remove_leftover(sweep, started_ns)
            return 1 if no_room(error) or unwritable(error) else 2
    if check.cfg.get("task") == "plan":
        _remove_empty(sweep, started_ns)
    reported = _is_reported(check, sweep, trace)
    if rank_environment.rank() == 0 and len(VALUES) >= ALIKE and len(set(VALUES)) == 1:
        objective = check.cfg.get("objective")
        say(
            f"warning: all {len(VALUES)} jobs gave the same value, {VALUES[0]:.4g} (objective={objective}), by which "
            f"no sweeper can choose; try objective={'best_trained' if objective == 'last' else 'last'}, or look "
            "whether what varies is read at all"
        )
    _tell_failures(failures, sweep)
    return 0 if reported and not failures and error is None else 1


def _tell_failures(failures: list[Failure], sweep: Path) -> None:
    diverged = [failure for failure in failures if isinstance(failure.error, DivergedError)]
    failed = [failure for failure in failures if failure not in diverged]
    if failed:
        say(f"jobs that failed: {len(failed)}; the full trace of each is in its {ERROR_FILE}")
    for failure in failed:
        say(f"  {shown(failure)}")
        overrides = written_overrides(failure.folder) if failure.folder is not None else None
        if overrides is not None:
            say(f"    again: {command_of_job(sweep, overrides, outputs=OUTPUTS)}")
    if diverged:
        say(f"jobs whose training diverged: {len(diverged)}")
    for failure in diverged:
        say(f"  {failure.message}")


def _is_of(failure: Failure, error: Exception) -> bool:
    """Whether an exception is that of a failed job, which of another process is a copy."""
    return failure.error is error or (failure.error is None and failure.message in one_line(error))


def _has_begun(error: Exception) -> bool:
    """Whether jobs may have begun before it: it is not what Hydra says of a command that it cannot run."""
    return not isinstance(error, HydraException | OmegaConfBaseException | UserError | OSError)


def _is_reported(check: Checked, sweep: Path, trace: bool) -> bool:
    """Whether the report of a sweep is there, where it is wanted.

    Hydra asks for it only where no job failed, and turns its errors into warnings.
    """
    if rank_environment.rank() > 0:  # rank 0 writes it
        return True
    from headstart.report import multirun_hook
    from headstart.runs.outcome.report_logging import log_report

    if (
        check.cfg.get("task") not in multirun_hook.REPORTED
        or OmegaConf.select(check.cfg, "hydra.callbacks.report") is None
    ):
        return True
    if not multirun_hook.written and not multirun_hook.failures:
        multirun_hook.report_at_end(sweep)
    for error in multirun_hook.failures:
        if trace:
            show_trace(error)
        say(f"error: no report of {sweep}: {one_line(error)}")
    for report in multirun_hook.written:
        log_report(check.cfg, report)
    return not multirun_hook.failures


def _remove_leftover(sweep: Path, started_ns: int) -> None:
    """Take away what Hydra made before it found that a combination of values gives no config."""
    file = sweep / "multirun.yaml"
    if rank_environment.rank() > 0 or not file.exists() or file.stat().st_mtime_ns < started_ns:
        return
    left = [*sweep.iterdir()]
    if {path.name for path in left} <= LEFTOVER:
        for path in left:
            path.unlink()
        sweep.rmdir()


def _remove_empty(sweep: Path, started_ns: int) -> None:
    """Take away what Hydra has made for jobs that write nothing: their folders and those above, where empty."""
    for job in sweep.iterdir() if sweep.is_dir() else ():
        with suppress(OSError):  # it holds something, or is a file
            job.rmdir()
    _remove_leftover(sweep, started_ns)
    for folder in (sweep.parent, sweep.parent.parent):
        with suppress(OSError):
            folder.rmdir()

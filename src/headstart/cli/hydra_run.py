"""What comes of a command line that Hydra runs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TextIO, cast

import hydra
from hydra.types import RunMode
from omegaconf import OmegaConf

from headstart.cli.command_arguments import Arguments
from headstart.cli.command_check import Checked, checked
from headstart.cli.config_composing import VERSION_BASE
from headstart.cli.error_messages import (
    hydras_reason,
    is_users,
    no_room,
    one_line,
    show_trace,
    unwritable,
)
from headstart.cli.job_folders import JobFolders, keep_finished
from headstart.cli.run_job import (
    ERROR_FILE,
    FAILURES,
    FOLDERS,
    VALUES,
    failures_elsewhere,
    job,
    reader_is_gone,
    relative,
    shown,
)
from headstart.compat.hydra_launch import run_jobs
from headstart.runs.folder.run_naming import OUTPUTS, STUDY
from headstart.runs.status.planned_jobs import FILE as PLANNED
from headstart.runs.status.planned_jobs import command_of_job, written_overrides
from headstart.system import rank_environment
from headstart.system.credential_masking import masked
from headstart.system.files.conf_folder import conf_dir
from headstart.system.terminal_text import printable
from headstart.types import DivergedError, OutcomeError, PrunedError

PRUNED = 3  # the exit code of a run that a search has stopped
LEFTOVER = {"multirun.yaml", PLANNED, ".search.lock"}  # files of a sweep that no job has begun in
ALIKE = 3  # jobs of a sweep whose values are all the same, from which on it is said


def exit_code(arguments: Arguments, trace: bool) -> int:
    """The exit code of checking and running a command line; what went wrong is on stderr by then.

    Raises UserError where the command line is wrong, before anything is made.
    """
    with working_folder_importable():
        check = checked(arguments) if arguments.composes else None
        for note in check.notes if check is not None and rank_environment.rank() == 0 else ():
            _say(note)
        started_ns = time.time_ns()
        outcome = run_command(arguments, check)
        if check is None or not check.multirun or not arguments.runs:
            return code_of_single(outcome.error, trace)
        return _code_of_multirun(check, outcome.sweep, started_ns, outcome.error, trace)


class CommandOutcome(NamedTuple):
    """How a command ended.

    Attributes:
        error: The exception that ended it; None where there was none.
        sweep: The folder of the runs of a sweep.
    """

    error: Exception | None
    sweep: Path


def run_command(arguments: Arguments, checked_command: Checked | None) -> CommandOutcome:
    """Let Hydra run a command; FAILURES, VALUES and FOLDERS hold what became of its jobs afterwards.

    Args:
        arguments: The command line.
        checked_command: The same, checked; None where no config is composed.
    """
    for jobs in (FAILURES, VALUES, FOLDERS):
        jobs.clear()
    _forget_reports()
    with _as_hydra_expects(arguments, checked_command):
        sweep = OmegaConf.select(checked_command.cfg, "hydra.sweep.dir") if checked_command else "."
        return CommandOutcome(_error_of_hydra(arguments, checked_command), Path(str(sweep)))


def _error_of_hydra(arguments: Arguments, check: Checked | None) -> Exception | None:
    """The exception that ended the run, None where there was none."""
    try:
        if check is not None and arguments.runs:
            _run(check, [*check.overrides, *_of_later_rank(check)])
        else:
            hydra.main(version_base=VERSION_BASE, config_path=str(conf_dir()), config_name="config")(job)()
    except Exception as error:
        if reader_is_gone(error):
            raise
        return error
    return None


def _run(check: Checked, overrides: list[str]) -> None:
    """Do what hydra.main does with a command that runs, but for composing the config twice more.

    It does so to learn the mode, and for the job: of a single run, the check has composed it already.
    """
    composer = check.composer
    if check.multirun:
        # as Hydra has it: who asks for a multirun gets one, whatever the config says
        mode = OmegaConf.select(check.cfg, "hydra.mode")
        overrides = overrides if mode == RunMode.MULTIRUN else [*overrides, "hydra.mode=MULTIRUN"]
    else:
        keep_finished(check.cfg, JobFolders().checked(check.cfg))
        composer.loader.ready = (check.overrides, check.cfg)
    run_jobs(composer.loader, composer.config_name, job, overrides, name=composer.job_name, multirun=check.multirun)


def code_of_single(error: Exception | None, trace: bool) -> int:
    if error is None:
        return 0
    if trace:
        show_trace(error)
    if not FAILURES:  # the job did not begin
        _say(f"error: {hydras_reason(error)}")
        return 1 if no_room(error) or unwritable(error) else 2
    failure = FAILURES[-1]
    _say(f"error: {failure.message}")
    if failure.error is not None and is_users(failure.error):
        return 2
    if isinstance(failure.error, OutcomeError):
        return PRUNED if isinstance(failure.error, PrunedError) else 1
    if failure.folder is not None:
        _say(f"the full trace is in {relative(failure.folder / ERROR_FILE)}; or run with --trace")
    elif not trace:
        _say("for the full trace run with --trace")
    return 1


def _code_of_multirun(check: Checked, sweep: Path, started_ns: int, error: Exception | None, trace: bool) -> int:
    failures = [*FAILURES, *failures_elsewhere(sweep, started_ns)]
    if trace:
        for failure in failures:
            if failure.error is not None:
                show_trace(failure.error)
    if error is not None and not any(failure.error in (error, None) for failure in failures):
        if trace:
            show_trace(error)
        _say(f"error: {hydras_reason(error)}")
        if not failures:
            _remove_leftover(sweep, started_ns)
            return 1 if no_room(error) or unwritable(error) else 2
    reported = _is_reported(check, sweep, trace)
    if rank_environment.rank() == 0 and len(VALUES) >= ALIKE and len(set(VALUES)) == 1:
        objective = check.cfg.get("objective")
        _say(
            f"warning: all {len(VALUES)} jobs gave the same value, {VALUES[0]:.4g} (objective={objective}), by which "
            f"no sweeper can choose; try objective={'best_trained' if objective == 'last' else 'last'}, or look "
            "whether what varies is read at all"
        )
    if failures:
        diverged = [failure for failure in failures if isinstance(failure.error, DivergedError)]
        failed = [failure for failure in failures if failure not in diverged]
        if failed:
            _say(f"jobs that failed: {len(failed)}; the full trace of each is in its {ERROR_FILE}")
        for failure in failed:
            _say(f"  {shown(failure)}")
            overrides = written_overrides(failure.folder) if failure.folder is not None else None
            if overrides is not None:
                _say(f"    again: {command_of_job(sweep, overrides, outputs=OUTPUTS)}")
        if diverged:
            _say(f"jobs whose training diverged: {len(diverged)}")
        for failure in diverged:
            _say(f"  {failure.message}")
    return 0 if reported and not failures and error is None else 1


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
        _say(f"error: no report of {sweep}: {one_line(error)}")
    for report in multirun_hook.written:
        log_report(check.cfg, report)
    return not multirun_hook.failures


def _forget_reports() -> None:
    multirun_hook = sys.modules.get(
        "headstart.report.multirun_hook"
    )  # of an earlier command in this process, as in tests
    if multirun_hook is not None:
        multirun_hook.written.clear()
        multirun_hook.failures.clear()


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


def _say(text: str) -> None:
    # a name of a file or a value can hold what a terminal obeys
    print("\n".join(printable(line) for line in f"headstart: {masked(text)}".split("\n")), file=sys.stderr)


@contextmanager
def working_folder_importable() -> Iterator[None]:
    # a console script does not have the working folder on its path, so `_target_: my_module.MyBackbone` would
    # not be found; at the end, so that a file there hides no installed module
    folder, before = str(Path.cwd()), list(sys.path)
    if folder not in sys.path and "" not in sys.path:
        sys.path.append(folder)
    try:
        yield
    finally:
        sys.path[:] = before


def _of_later_rank(check: Checked) -> list[str]:
    """What keeps a rank that torchrun or SLURM has started out of the way of rank 0: no lines, files of its own."""
    if rank_environment.rank() == 0:
        return []
    quiet = [f"hydra/{name}=disabled" for name in ("job_logging", "hydra_logging")]
    folder = OmegaConf.select(check.cfg, "hydra.output_subdir")
    own = [] if folder is None else [f"hydra.output_subdir={folder}/rank{rank_environment.rank()}"]
    keys_given = {override.partition("=")[0] for override in check.overrides}
    return [override for override in [*quiet, *own] if override.partition("=")[0] not in keys_given]


@contextmanager
def _as_hydra_expects(arguments: Arguments, check: Checked | None) -> Iterator[None]:
    overrides = arguments.overrides if check is None else check.overrides
    argv, stderr = sys.argv, sys.stderr
    variables = {"HYDRA_FULL_ERROR": "1"}  # or Hydra prints its own text and exits, and no exception comes here
    if check is not None:
        variables[STUDY] = check.study
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    later = [] if check is None else _of_later_rank(check)
    sys.argv = [argv[0], *arguments.for_hydra([*overrides, *later])]
    sys.stderr = cast(TextIO, _WithoutHydrasLine(stderr))
    try:
        yield
    finally:
        sys.argv, sys.stderr = argv, stderr
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class _WithoutHydrasLine:
    """stderr without the line that Hydra writes there about a failed job: headstart says it better."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        if text.startswith("Error executing job with overrides:"):
            return len(text)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

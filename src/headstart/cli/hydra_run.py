"""What comes of a command line that Hydra runs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
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
    say,
    show_trace,
    unwritable,
)
from headstart.cli.job_folders import JobFolders, keep_finished
from headstart.cli.run_job import (
    ERROR_FILE,
    FAILURES,
    FOLDERS,
    VALUES,
    job,
    reader_is_gone,
    relative,
)
from headstart.cli.sweeps.jobs_elsewhere import note_jobs_elsewhere
from headstart.cli.sweeps.sweep_cost import sweep_cost_lines
from headstart.cli.sweeps.sweep_exit import code_of_sweep
from headstart.compat.hydra.hydra_launch import run_jobs
from headstart.runs.folder.run_naming import STUDY
from headstart.system import rank_environment
from headstart.system.files.conf_folder import conf_dir
from headstart.types import OutcomeError, PrunedError

PRUNED = 3  # the exit code of a run that a search has stopped


def exit_code(arguments: Arguments, trace: bool) -> int:
    """The exit code of checking and running a command line; what went wrong is on stderr by then.

    Raises UserError where the command line is wrong, before anything is made.
    """
    with working_folder_importable():
        check = checked(arguments) if arguments.composes else None
        for note in check.notes if check is not None and rank_environment.rank() == 0 else ():
            say(note)
        started_ns = time.time_ns()
        with _followed(arguments, check, started_ns):
            outcome = run_command(arguments, check)
        if check is None or not check.multirun or not arguments.runs:
            return code_of_single(outcome.error, trace)
        return code_of_sweep(check, outcome.sweep, started_ns, outcome.error, trace=trace)


def _followed(arguments: Arguments, check: Checked | None, started_ns: int) -> AbstractContextManager[None]:
    """What shows the jobs of a sweep while they run."""
    shows = check is not None and check.multirun and arguments.runs and rank_environment.rank() == 0
    if not shows or check is None or check.cfg.get("task") != "fit" or not check.cfg.get("live_table"):
        return nullcontext()
    from headstart.cli.sweeps.live_table import live_table  # here: a single run does not need it

    here = Path.cwd()  # jobs may change it
    return live_table(lambda: here / _sweep_folder(check), since_ns=started_ns)


def _sweep_folder(check: Checked | None) -> Path:
    return Path(str(OmegaConf.select(check.cfg, "hydra.sweep.dir") if check else "."))


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
    started_ns = time.time_ns()
    with _as_hydra_expects(arguments, checked_command):
        sweep = _sweep_folder(checked_command)
        returned, error = None, None
        try:
            returned = _returned(arguments, checked_command)
        except Exception as raised:
            if reader_is_gone(raised):
                raise
            error = raised
        if checked_command is not None and checked_command.multirun and arguments.runs:
            note_jobs_elsewhere(sweep, started_ns, returned)
            if checked_command.cfg.get("task") == "plan" and rank_environment.rank() == 0:
                for line in sweep_cost_lines(returned):
                    print(line)
        return CommandOutcome(error, sweep)


def _returned(arguments: Arguments, check: Checked | None) -> object:
    """What Hydra gives back. Raises what a job raises, or Hydra."""
    if check is not None and arguments.runs:
        return _run(check, [*check.overrides, *_of_later_rank(check)])
    return hydra.main(version_base=VERSION_BASE, config_path=str(conf_dir()), config_name="config")(job)()


def _run(check: Checked, overrides: list[str]) -> object:
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
    return run_jobs(
        composer.loader, composer.config_name, job, overrides, name=composer.job_name, multirun=check.multirun
    )


def code_of_single(error: Exception | None, trace: bool) -> int:
    if error is None:
        return 0
    if trace:
        show_trace(error)
    if not FAILURES:  # the job did not begin
        say(f"error: {hydras_reason(error)}")
        return 1 if no_room(error) or unwritable(error) else 2
    failure = FAILURES[-1]
    say(f"error: {failure.message}")
    if failure.error is not None and is_users(failure.error):
        return 2
    if isinstance(failure.error, OutcomeError):
        return PRUNED if isinstance(failure.error, PrunedError) else 1
    if failure.folder is not None:
        say(f"the full trace is in {relative(failure.folder / ERROR_FILE)}; or run with --trace")
    elif not trace:
        say("for the full trace run with --trace")
    return 1


def _forget_reports() -> None:
    multirun_hook = sys.modules.get(
        "headstart.report.multirun_hook"
    )  # of an earlier command in this process, as in tests
    if multirun_hook is not None:
        multirun_hook.written.clear()
        multirun_hook.failures.clear()


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

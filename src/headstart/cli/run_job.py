"""One job: its task, called in the folder where the command was started, and what is left of its failure."""

from __future__ import annotations

import logging
import math
import os
import pickle
import select
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from headstart.cli import collector_pause
from headstart.cli.command_check import check_started
from headstart.cli.error_messages import is_users, one_line, root_cause
from headstart.compat.hydra.hydra_instantiation import forget_call, instantiate
from headstart.runs.folder.folder_ownership import TakenError
from headstart.runs.folder.run_naming import register
from headstart.runs.saved.config_signing import sign
from headstart.runs.saved.config_writing import hide_credentials
from headstart.runs.status.sweep_progress import sweep_progress
from headstart.system import rank_environment, stop_signals
from headstart.system.credential_masking import mask_logs, masked, remember
from headstart.system.stop_signals import Interruption
from headstart.types import DivergedError, OutcomeError, PrunedError, UserError

log = logging.getLogger(__name__)
ERROR_FILE = "error.txt"

register()  # at import: a launcher's other process unpickles `job` and asks for the folder's name first


@dataclass(frozen=True)
class Failure:
    """A job that failed."""

    folder: Path | None  # None where the task has no folder of its own
    message: str
    error: BaseException | None  # None where it happened in another process


FAILURES: list[Failure] = []  # since the command began; jobs of other processes join at its end (jobs_elsewhere.py)
VALUES: list[float] = []  # what its jobs gave a sweeper
FOLDERS: list[Path] = []  # where its jobs wrote, diverged ones among them, those that failed left out


def job(cfg: DictConfig, *, is_resumed: bool = False) -> object:
    """What the chosen task returns: the function that `cfg.<task>._target_` names, called with the config.

    Where it fails, the full trace is written to error.txt in the run's folder; the error goes on to Hydra. A rank
    that torchrun or SLURM has started ends there. A job whose training diverged is none of that: it has its result,
    counts as failed, and in a sweep gives nan. is_resumed: the folder's config was read from there, not composed.
    """
    mask_logs()
    remember(OmegaConf.to_container(cfg, resolve=False))
    is_elsewhere = not stop_signals.is_handled()  # in a process of the launcher, which no command has set up
    try:
        with stop_signals.handled(), _where_the_command_was_started():
            return _result(cfg, is_resumed)
    except Exception as error:
        if is_elsewhere and (sent := _portable(error)) is not error:
            raise sent from error
        raise


def _result(cfg: DictConfig, is_resumed: bool) -> object:
    folder = _run_folder()
    if folder is not None and not is_resumed:
        _keep_own(folder)
    file = ERROR_FILE if rank_environment.rank() == 0 else f"error-rank{rank_environment.rank()}.txt"
    if folder is not None:
        (folder / file).unlink(missing_ok=True)
    try:
        check_started(cfg)
        # _partial_: called here, so that its error is not wrapped and cfg keeps its interpolations
        task = instantiate(cfg[cfg.task], _partial_=True, _recursive_=False)
        collector_pause.look_again()
        result = _tried(cfg, task)
        stop_signals.check()  # a library may have swallowed what the signal raised
    except Interruption as stop:
        stop.advice = _to_go_on(cfg, folder)
        raise
    except Exception as error:
        if reader_is_gone(error):
            raise
        if stop_signals.asked():  # it follows from the signal, as where a worker has had it too
            later = stop_signals.interruption()
            later.advice = _to_go_on(cfg, folder)
            raise later from error
        if isinstance(error, PrunedError) and HydraConfig.get().mode == RunMode.MULTIRUN:
            FOLDERS.append(_output_folder())
            log.info("%s", masked(str(error)))
            return math.nan  # its sweeper reads in result.json that it was pruned
        forget_call(error, str(cfg.task))  # a task is what the command is: it goes without saying
        failure = Failure(folder, one_line(error), error)
        FAILURES.append(failure)
        if folder is not None and not isinstance(root_cause(error), TakenError):
            is_told = isinstance(error, OutcomeError)
            text = masked(f"{error}\n" if is_told else "".join(traceback.format_exception(error)))
            with suppress(OSError):  # on a full disk the message is all that is left
                (folder / file).write_text(text, encoding="utf-8")
        if isinstance(error, DivergedError):
            FOLDERS.append(_output_folder())
        if isinstance(error, DivergedError) and HydraConfig.get().mode == RunMode.MULTIRUN:
            if rank_environment.rank() == 0:
                print(f"headstart: {failure.message}", file=sys.stderr)
            return math.nan
        if rank_environment.launcher() is not None and not isinstance(error, DivergedError):
            _leave_the_other_ranks(failure)
        if HydraConfig.get().mode == RunMode.MULTIRUN:  # the others go on; the list comes at the end
            print(f"headstart: failed: {shown(failure)}", file=sys.stderr)
        raise
    FOLDERS.append(_output_folder())
    if isinstance(result, float) and math.isfinite(result):
        VALUES.append(result)
    is_of_sweep = HydraConfig.get().mode == RunMode.MULTIRUN and cfg.task == "fit" and rank_environment.rank() == 0
    if is_of_sweep and (told := sweep_progress(Path(HydraConfig.get().sweep.dir))):
        log.info("%s", told)
    return result


def _portable(error: Exception) -> Exception:
    """The error, or where it cannot be handed over to another process one that says the same."""
    try:
        same = pickle.loads(pickle.dumps(error))
    except Exception:
        same = None
    if type(same) is type(error):
        return error
    return UserError(one_line(error)) if is_users(error) else RuntimeError(one_line(error))


def _tried(cfg: DictConfig, task: Callable[..., object]) -> object:
    """What the task returns; where it fails, unless by the user's mistake, again from its last checkpoint."""
    # ranks that others have started would begin again at different times
    tries = 1 + (int(cfg.get("retry") or 0) if rank_environment.launcher() is None else 0)
    for number in range(2, tries + 1):
        try:
            return task(cfg=cfg)
        except Exception as error:
            if is_users(error) or isinstance(error, OutcomeError) or stop_signals.asked() or reader_is_gone(error):
                raise
            log.warning("failed: %s; try %d of %d, from the last checkpoint", one_line(error), number, tries)
            cfg = cfg.copy()
            with open_dict(cfg):
                cfg.update({"resume": "auto", "rerun": False})
    return task(cfg=cfg)


@contextmanager
def _where_the_command_was_started() -> Iterator[None]:
    """Undo hydra.job.chdir=true: data, source models and trials lie where the command's relative paths lead."""
    folder_now, started_in = Path.cwd(), Path(HydraConfig.get().runtime.cwd)
    if not HydraConfig.get().job.chdir or not started_in.is_dir():
        yield
        return
    os.chdir(started_in)
    try:
        yield
    finally:
        os.chdir(folder_now)


def _to_go_on(cfg: DictConfig, folder: Path | None) -> str:
    if cfg.task != "fit" or folder is None:
        return ""
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        return "to go on, give the same command with resume=auto"
    return f"to go on: headstart resume={relative(folder)}"


def _keep_own(folder: Path) -> None:
    """Let what Hydra has just written into a run's folder, and into its sweep's, hold no credentials, and be signed."""
    hydra = HydraConfig.get()
    for name in ("config.yaml", "overrides.yaml", "hydra.yaml"):
        hide_credentials(folder / str(hydra.output_subdir) / name)
    if rank_environment.rank() > 0:
        return
    if hydra.mode == RunMode.MULTIRUN:
        hide_credentials(Path(hydra.sweep.dir) / "multirun.yaml")
    config = folder / str(hydra.output_subdir) / "config.yaml"
    if config.is_file():
        sign(config)


def reader_is_gone(error: BaseException) -> bool:
    """Whether an error is that nobody reads what this process prints, as after `| head`: no failure of the job."""
    if not isinstance(error, BrokenPipeError) or not hasattr(select, "poll"):
        return False
    try:
        stdout = sys.stdout.fileno()
    except (OSError, ValueError):  # it is no file of the system's
        return False
    poll = select.poll()
    poll.register(stdout, select.POLLOUT)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))  # else it is another pipe


def _leave_the_other_ranks(failure: Failure) -> NoReturn:
    """End this process at once, so that its launcher ends the other ranks.

    They wait for it in the middle of this job: were it to go on to the next one, they would answer each other
    about different jobs. Python's own end may wait for them, too.
    """
    assert failure.error is not None
    print(f"headstart: error: rank {rank_environment.rank()}: {shown(failure)}", file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(2 if is_users(failure.error) else 1)


def shown(failure: Failure) -> str:
    """Folder and message."""
    return f"{relative(failure.folder)}: {failure.message}" if failure.folder else failure.message


def _run_folder() -> Path | None:
    return _output_folder() if HydraConfig.get().output_subdir is not None else None


def _output_folder() -> Path:
    return Path(HydraConfig.get().runtime.output_dir)


def relative(path: Path) -> Path:
    """From the working folder on, where it lies below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path

"""What happens around one job?"""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig

from headstart.cli.failures import one_line
from headstart.tasks.names import register

ERROR_FILE = "error.txt"

register()  # at import: a launcher's other process unpickles `job` and asks for the folder's name first


@dataclass(frozen=True)
class Failure:
    """A job that failed."""

    folder: Path | None  # None where the task has no folder of its own
    message: str
    error: BaseException | None  # None where it happened in another process


FAILURES: list[Failure] = []  # of this process, since the command began


def job(cfg: DictConfig) -> object:
    """What the chosen task returns: the function that `cfg.<task>._target_` names, called with the config.

    Where it fails, the full trace is written to error.txt in the run's folder; the error goes on to Hydra.
    """
    folder = _run_folder()
    if folder is not None:
        (folder / ERROR_FILE).unlink(missing_ok=True)
    try:
        # _partial_: called here, so that its error is not wrapped and cfg keeps its interpolations
        task = instantiate(cfg[cfg.task], _partial_=True, _recursive_=False)
        result: object = task(cfg=cfg)
    except Exception as error:
        failure = Failure(folder, one_line(error), error)
        FAILURES.append(failure)
        if folder is not None:
            text = "".join(traceback.format_exception(error))
            (folder / ERROR_FILE).write_text(text, encoding="utf-8")
        if HydraConfig.get().mode == RunMode.MULTIRUN:  # the others go on; the list comes at the end
            print(f"headstart: failed: {shown(failure)}", file=sys.stderr)
        raise
    return result


def shown(failure: Failure) -> str:
    """Folder and message."""
    return f"{relative(failure.folder)}: {failure.message}" if failure.folder else failure.message


def failures_elsewhere(sweep: Path, since_ns: int) -> list[Failure]:
    """The jobs below a folder that failed in other processes since then, as their files say."""
    here = {failure.folder for failure in FAILURES}
    found = []
    for file in sorted(sweep.resolve().glob(f"*/{ERROR_FILE}")):
        if file.parent not in here and file.stat().st_mtime_ns >= since_ns:
            lines = file.read_text(encoding="utf-8").strip().splitlines()
            found.append(Failure(file.parent, lines[-1] if lines else "no message", None))
    return found


def _run_folder() -> Path | None:
    hydra = HydraConfig.get()
    return Path(hydra.runtime.output_dir) if hydra.output_subdir is not None else None


def relative(path: Path) -> Path:
    """From the working folder on, where it lies below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path

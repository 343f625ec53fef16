"""The process of one rank: it runs its part of the folder's job and reports why it failed.

`python -m headstart.distributed.rank_process train <run folder>`; distributed/rank_launcher.py starts it.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from headstart.system import rank_environment, stop_signals
from headstart.system.stop_signals import Interruption

# the imports of torch and Hydra stand where they are needed: they take seconds, and the parent may die meanwhile
DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG, linux/prctl.h


def main(job_kind: str, folder: Path) -> int:
    """Run this rank's part of the folder's job -> the exit code; a failure goes to the parent's report file.

    Args:
        job_kind: `train` as one of several ranks; on one device `source`, the source model, or `trial`, the trials of
            the recipe or the tuning.
        folder: The run's folder.
    """
    place = json.loads(os.environ.pop("HEADSTART_APART", "") or os.environ[rank_environment.OWN])
    _end_with(place["parent"], place["lifeline"])
    try:
        with stop_signals.handled():
            _do(job_kind, folder, place)
    except Interruption as stop:
        _flush()
        os._exit(stop.exit_code)
    except BaseException as error:
        _report(error, Path(place["report"]))
        # at once: the usual end of a process waits for collectives that the others have left
        os._exit(1)
    return 0


def _do(job_kind: str, folder: Path, place: dict[str, Any]) -> None:
    from omegaconf import OmegaConf

    from headstart.compat.hydra.hydra_instantiation import instantiate
    from headstart.runs.saved.saved_job import saved_job
    from headstart.system.credential_masking import mask_logs, remember

    mask_logs()
    cfg = saved_job(folder, vouched=place["config"])
    remember(OmegaConf.to_container(cfg, resolve=False))
    for key, value in place["changes"].items():
        OmegaConf.update(cfg, key, value)
    _log_as_the_job(place["logging"])
    if job_kind == "source":
        from headstart.runs.quiet_logs import quieten
        from headstart.runs.weights.source_model import developed

        quieten()
        developed(cfg)
        return
    if job_kind == "trial":
        from headstart.recipes.recipe_values import with_recipes
        from headstart.recipes.trial_runs import training_in_this_process
        from headstart.runs.quiet_logs import quieten
        from headstart.runs.training.run_plan import asked_processes

        quieten()
        with training_in_this_process():
            with_recipes(cfg, processes=asked_processes(cfg.trainer))
        return
    instantiate(cfg[cfg.task], _partial_=True, _recursive_=False)(cfg=cfg)
    if "torch" in sys.modules:  # else there is no group of processes to leave
        import torch

        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _log_as_the_job(parents: dict[str, Any] | None) -> None:
    """parents: how the parent logs; the folder is not asked, as logging makes the objects that its config names."""
    if rank_environment.rank() > 0:  # the lines of rank 0 are on the terminal and in headstart.log
        logging.basicConfig(
            level=logging.INFO, stream=sys.stderr, format="[%(asctime)s][%(name)s][%(levelname)s] %(message)s"
        )
        return
    from hydra.core.utils import configure_log
    from omegaconf import OmegaConf

    if parents is not None:
        configure_log(OmegaConf.create(parents["job_logging"]), parents["verbose"])


def _report(error: BaseException, path: Path) -> None:
    """Tell the parent, in a file that is there whole or not at all; the trace goes to this rank's output too."""
    from headstart.system.credential_masking import masked
    from headstart.system.resource_errors import exhausted
    from headstart.types import UserError

    when_ns = time.time_ns()
    cause = error
    while type(cause).__name__ == "InstantiationException" and cause.__cause__ is not None:
        cause = cause.__cause__
    text = exhausted(cause) or (
        str(cause) if isinstance(cause, UserError) else f"{type(cause).__name__}: {' '.join(str(cause).split())}"
    )
    trace = masked("".join(traceback.format_exception(error)))
    about = {"text": masked(text), "is_user_error": isinstance(cause, UserError), "trace": trace, "when_ns": when_ns}
    partial = path.with_suffix(".partial")
    try:
        partial.write_text(json.dumps(about), encoding="utf-8")
        partial.replace(path)
    except OSError:  # the parent is gone, and its folder with it
        pass
    if rank_environment.rank() > 0:
        print(trace, file=sys.stderr)
    _flush()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def _end_with(parent: int, lifeline: int) -> None:
    """See to it that this process and its workers end when the parent does, however it ends."""

    def watch() -> None:
        os.read(lifeline, 1)  # returns when the parent's end is closed
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, name="parent", daemon=True).start()
    if sys.platform == "linux":  # also where this process holds on to Python's lock and no thread runs
        ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the system was asked
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))

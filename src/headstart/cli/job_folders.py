"""The folders of a command's jobs, looked at before Hydra writes its files into them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from headstart.runs.folder.folder_ownership import RUNS, check_folder
from headstart.runs.folder.run_folder import finished_for
from headstart.runs.folder.run_naming import CONTROL, hashes, job_overrides, own_overrides
from headstart.runs.status.planned_jobs import PlannedJob, note_job
from headstart.system import rank_environment
from headstart.types import UserError


class JobFolders:
    """The folders that the jobs of a command have been found to go to."""

    def __init__(self) -> None:
        self._hashes: dict[Path, str] = {}  # of the run that goes there
        self._jobs = 0

    def checked(self, cfg: DictConfig) -> Path | None:
        """The next job's folder; None where it is no run's, or only the job will know it.

        cfg: with the hydra node. Raises UserError where the folder is not the job's to write into, or another job of
        the command has it.
        """
        number, self._jobs = self._jobs, self._jobs + 1
        with _in_job(cfg, number) as (asked, folder):
            if folder is None:
                return None
            own = hashes(asked)
            check_folder(asked, folder, own)
            if self._hashes.setdefault(folder, own.now) != own.now:
                raise UserError(
                    f"two jobs of the sweep have other settings and the same folder, {folder}; leave out "
                    "hydra.sweep.subdir, or name in it what differs: hydra.sweep.subdir='${run_name:}'"
                )
            if cfg.hydra.mode == RunMode.MULTIRUN:
                job = PlannedJob(folder, tuple(own_overrides(asked, job_overrides())))
                note_job(folder.parent, job, is_first=number == 0)
        return folder


def job_folder(cfg: DictConfig) -> Path | None:
    """The folder of a job whose number in its sweep is not known, without a look at what lies there.

    Args:
        cfg: Of the job, with the hydra node.
    """
    with _in_job(cfg, None) as (_, folder):
        return folder


def keep_finished(cfg: DictConfig, folder: Path | None) -> None:
    """Let Hydra write no files of a job whose run is finished: those that are there say how it was made.

    folder: the job's, as JobFolders says.
    """
    is_idle = bool(cfg.get(CONTROL)) and not cfg.get("reuse")  # which is run as without, and never again
    if folder is None or (cfg.get("rerun") and not is_idle) or finished_for(cfg, folder) is None:
        return
    with read_write(cfg.hydra), open_dict(cfg.hydra):
        cfg.hydra.output_subdir = None


@contextmanager
def _in_job(cfg: DictConfig, number: int | None) -> Iterator[tuple[DictConfig, Path | None]]:
    """A copy of a job's config that resolves as in the job, and its folder, None as JobFolders says.

    number: of the job in its sweep, None where it is not known: a folder that is named by it is None then.
    """
    node = cfg.get(str(cfg.get("task")))
    target = node.get("_target_") if isinstance(node, DictConfig) else None
    if rank_environment.rank() > 0 or target not in RUNS or OmegaConf.select(cfg, "hydra.output_subdir") is None:
        yield cfg, None
        return
    asked = copy.deepcopy(cfg)  # HydraConfig makes what it is given read-only
    if number is not None:
        with read_write(asked.hydra), open_dict(asked.hydra):
            asked.hydra.job.num, asked.hydra.job.id = number, str(number)
    before = HydraConfig.instance().cfg
    try:
        HydraConfig.instance().set_config(asked)
        yield asked, _folder(asked)
    finally:
        HydraConfig.instance().cfg = before


def _folder(cfg: DictConfig) -> Path | None:
    places = ("sweep.dir", "sweep.subdir") if cfg.hydra.mode == RunMode.MULTIRUN else ("run.dir",)
    try:
        return Path(*(str(OmegaConf.select(cfg.hydra, place)) for place in places))
    except Exception:  # a resolver of the user's, or one that asks for what only the job has: the task looks again
        return None

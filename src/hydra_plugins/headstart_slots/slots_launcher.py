"""A launcher of Hydra that runs jobs side by side on one machine, each with GPUs and CPU cores of its own."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from headstart.distributed.job_slots import Slot, job_slots
from headstart.runs.status.job_states import ERROR
from headstart.system import rank_environment

if TYPE_CHECKING:  # Hydra imports every plugin to compose, and these load joblib and numpy
    from headstart.distributed.slot_processes import SlotCall, SlotProcesses

log = logging.getLogger(__name__)


class JobDiedError(Exception):
    """The process of a job has ended before the job has."""


class SlotsLauncher(Launcher):
    """Runs as many jobs at once as there are slots.

    Args:
        devices: GPUs to be shared out, as CUDA_VISIBLE_DEVICES names them; auto is all that the command may use.
        devices_per_job: How many of them a job has.
        jobs: How many jobs run at once; auto is as many as have GPUs, without GPUs one a core.
        cores: CPU cores to be shared out; None is all that the command may use.
    """

    def __init__(
        self,
        *,
        devices: Literal["auto"] | Sequence[int | str],
        devices_per_job: Annotated[int, Ge(1)],
        jobs: Literal["auto"] | Annotated[int, Ge(1)],
        cores: Annotated[int, Ge(1)] | None,
    ) -> None:
        self.settings: dict[str, Any] = {
            "devices": OmegaConf.to_container(devices) if OmegaConf.is_config(devices) else devices,
            "devices_per_job": devices_per_job, "jobs": jobs, "cores": cores,
        }  # fmt: skip
        self.hydra_context: HydraContext | None = None
        self.task_function: TaskFunction | None = None
        self.config: DictConfig | None = None
        self._processes: SlotProcesses | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run jobs -> what each returned, of a failed one its exception.

        Args:
            job_overrides: Of each job.
            initial_job_idx: The number of the first one.

        Raises:
            UserError: The slots cannot be.
            Interruption: The command is stopped.
        """
        setup_globals()
        assert self.config is not None
        rank_environment.check_is_no_rank("hydra/launcher=slots")
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        Path(str(self.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        if self._processes is None:
            from headstart.distributed.slot_processes import SlotProcesses

            self._processes = SlotProcesses(job_slots(**self.settings))
            weakref.finalize(self, self._processes.end)  # the next batch of a sweeper finds them ready
        slots, state = self._processes.slots, Singleton.get_state()
        log.info("%d jobs, %d at a time: %s", len(job_overrides), len(slots), "; ".join(map(str, slots)))
        jobs = [_Job(self, initial_job_idx + at, overrides, state) for at, overrides in enumerate(job_overrides)]
        outcomes = self._processes.outcomes([job.call for job in jobs], _Lines(jobs, slots))
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        return [
            outcome if isinstance(outcome, JobReturn) else job.died()
            for job, outcome in zip(jobs, outcomes, strict=True)
        ]


class _Job:
    """A job, whose config is composed when it begins."""

    def __init__(self, launcher: SlotsLauncher, number: int, overrides: Sequence[str], state: Any) -> None:
        self.number, self.overrides = number, list(overrides)
        self._launcher, self._state = launcher, state
        self._config: DictConfig | None = None

    def call(self) -> SlotCall:
        context, base = self._launcher.hydra_context, self._launcher.config
        assert context is not None
        assert base is not None
        config: DictConfig = context.config_loader.load_sweep_config(base, self.overrides)
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = self.number
        self._config = config
        from headstart.distributed.slot_processes import SlotCall

        return SlotCall(_returned, (context, self._launcher.task_function, config, self._state))

    def died(self) -> JobReturn:
        """What is left of a job whose process ended; its folder says so too."""
        assert self._config is not None
        error = JobDiedError("the process of the job was ended from outside; was there too little memory?")
        before = HydraConfig.instance().cfg
        HydraConfig.instance().set_config(self._config)
        folder = Path(str(self._config.hydra.sweep.dir), str(self._config.hydra.sweep.subdir)).absolute()
        HydraConfig.instance().cfg = before
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ERROR).write_text(f"{type(error).__name__}: {error}\n", encoding="utf-8")
        with read_write(self._config.hydra), open_dict(self._config.hydra):
            self._config.hydra.runtime.output_dir = str(folder)
        return JobReturn(
            overrides=self.overrides, hydra_cfg=OmegaConf.masked_copy(self._config, "hydra"),
            status=JobStatus.FAILED, _return_value=error,
        )  # fmt: skip


class _Lines:
    """Says which jobs run, and how many wait."""

    def __init__(self, jobs: Sequence[_Job], slots: Sequence[Slot]) -> None:
        self._jobs, self._slots = jobs, slots

    def began(self, number: int, slot: int) -> None:
        job, devices = self._jobs[number], self._slots[slot].devices
        where = f" on GPU {', '.join(devices)}" if devices else ""
        log.info("\t#%d%s : %s", job.number, where, " ".join(filter_overrides(job.overrides)))

    def ended(self, number: int, running: Sequence[int], waiting: int) -> None:
        others = ", ".join(f"#{self._jobs[other].number}" for other in running) or "none"
        log.info("\t#%d is over; running: %s; waiting: %d", self._jobs[number].number, others, waiting)


_is_set_up = False  # whether this process has Hydra's state: by plugins it is slow, so it is done once


def _returned(context: HydraContext, task: TaskFunction, config: DictConfig, state: Any) -> JobReturn:
    """Run a job in a slot's process."""
    global _is_set_up
    if not _is_set_up:
        setup_globals()
        Singleton.set_state(state)
        _is_set_up = True
    return run_job(
        task_function=task, config=config, hydra_context=context,
        job_dir_key="hydra.sweep.dir", job_subdir_key="hydra.sweep.subdir",
    )  # fmt: skip

"""What comes of `headstart resume=<run folder>`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from omegaconf import OmegaConf, read_write

from headstart.cli.checking.closest_name import listed
from headstart.cli.command_arguments import Arguments
from headstart.types import UserError

LENGTHS = ("trainer.max_epochs", "trainer.max_steps")
SCHEDULES = ("new_length", "held")
BESIDE = ("--trace", "--trust", "--pipe", "--config-dir")  # flags that say nothing of what the run computes


@dataclass(frozen=True)
class Resumed:
    """What a command line asks of a run: to go on, or, where it says a length, to be extended by a new run."""

    folder: Path
    key: str = ""  # of the length
    length: int = 0
    schedule: Literal["new_length", "held"] = "new_length"


def run_to_resume(arguments: Arguments) -> Resumed | None:
    """The run that a command line names by its folder; None where it names none, as with resume=auto.

    Raises UserError where there is no such folder, and where anything but a length stands beside it.
    """
    keys = [override.partition("=")[0] for override in arguments.overrides]
    if "resume" not in keys:
        return None
    word = arguments.overrides[keys.index("resume")]
    value = word.partition("=")[2]
    if value in ("auto", "null", ""):
        return None
    folder = Path(value).expanduser()
    if not folder.is_dir():
        raise UserError(
            f"resume must be auto, null or the folder of a run, got {value}, which is no folder; try: "
            "headstart resume=outputs/runs/<run>"
        )
    values = dict(override.partition("=")[::2] for override in arguments.overrides if override != word)
    lengths = [key for key in values if key in LENGTHS]
    taken = {*lengths[:1], *(["extended_lr"] if lengths else [])}
    others = [
        override for override in arguments.overrides if override != word and override.partition("=")[0] not in taken
    ]
    others += [flag for flag in arguments.flags if flag not in BESIDE]
    if others:
        raise UserError(
            f"resume=<run folder> goes on with the run's own config and takes nothing beside it but a greater length "
            f"of a finished run (trainer.max_epochs=60, and extended_lr=held), got {listed(others)}; "
            f"try: headstart resume={value}"
        )
    if not lengths:
        return Resumed(folder)
    key, schedule = lengths[0], values.get("extended_lr", SCHEDULES[0])
    if not values[key].isdecimal() or int(values[key]) < 1:
        raise UserError(f"{key} must be a whole number above 0, got {values[key]}; try {key}=60")
    if schedule not in SCHEDULES:
        raise UserError(f"extended_lr must be one of {listed(SCHEDULES)}, got {schedule}")
    return Resumed(folder, key, int(values[key]), cast(Literal["new_length", "held"], schedule))


def exit_code_of_resumed(run: Resumed, arguments: Arguments, trace: bool) -> int:
    """The exit code of going on with the run in a folder; what went wrong is on stderr by then.

    Raises UserError where the folder is not a run's, its config is another person's and not allowed, or the run was
    started in another working folder.
    """
    # here, as they need Hydra and torch: `headstart --help` must not
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.utils import configure_log
    from hydra.types import RunMode

    from headstart.cli.hydra_run import code_of_single, working_folder_importable
    from headstart.cli.run_job import FAILURES, job
    from headstart.runs.saved.saved_job import check_working_folder, saved_job

    with working_folder_importable():
        FAILURES.clear()
        folder = run.folder
        config_dir = arguments.flags.get("--config-dir")
        own = () if config_dir is None else (Path(config_dir),)
        cfg = saved_job(folder, own=own)
        check_working_folder(f"headstart resume={folder.resolve()}")
        if run.key:
            from headstart.runs.continuing.run_extension import extended_run

            folder = extended_run(folder, key=run.key, length=run.length, schedule=run.schedule)
            cfg = saved_job(folder, own=own)
        for key, value in (("resume", "auto"), ("rerun", False), ("trial", None)):
            OmegaConf.update(cfg, key, value, force_add=True)
        hydra = HydraConfig.get()
        with read_write(hydra):  # type: ignore[arg-type]  # typed as the schema, not as the node
            hydra.mode = RunMode.RUN  # it may have been one job of a sweep
        configure_log(hydra.job_logging, hydra.verbose)  # type: ignore[arg-type]  # typed as the schema, not as the node
        try:
            job(cfg, is_resumed=True)
        except Exception as error:
            return code_of_single(error, trace)
    return 0

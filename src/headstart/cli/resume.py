"""What comes of `headstart resume=<run folder>`?"""

from __future__ import annotations

from pathlib import Path

from omegaconf import OmegaConf, read_write

from headstart.cli.arguments import Arguments
from headstart.cli.closest import listed
from headstart.types import UserError


def folder_to_resume(arguments: Arguments) -> Path | None:
    """The run's folder that a command line names; None where it names none, as with resume=auto.

    Raises UserError where there is no such folder, and where anything else stands beside it.
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
    others = [override for override in arguments.overrides if override != word]
    others += [flag for flag in arguments.flags if flag != "--trace"]
    if others:
        raise UserError(
            f"resume=<run folder> goes on with the run's own config and takes nothing beside it, got {listed(others)}; "
            f"try: headstart resume={value}"
        )
    return folder


def exit_code_of_resumed(folder: Path, trace: bool) -> int:
    """The exit code of going on with the run in a folder; what went wrong is on stderr by then.

    Raises UserError where the folder is not a run's, or the run was started in another working folder.
    """
    # here, as they need Hydra and torch: `headstart --help` must not
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.utils import configure_log
    from hydra.types import RunMode

    from headstart.cli.jobs import FAILURES, job
    from headstart.cli.run import code_of_single, working_folder_importable
    from headstart.tasks.saved import saved_job

    with working_folder_importable():
        FAILURES.clear()
        cfg = saved_job(folder)
        _check_working_folder(folder)
        for key, value in (("resume", "auto"), ("rerun", False)):
            OmegaConf.update(cfg, key, value, force_add=True)
        hydra = HydraConfig.get()
        with read_write(hydra):  # type: ignore[arg-type]  # typed as the schema, not as the node
            hydra.mode = RunMode.RUN  # it may have been one job of a sweep
        configure_log(hydra.job_logging, hydra.verbose)  # type: ignore[arg-type]  # typed as the schema, not as the node
        try:
            job(cfg)
        except Exception as error:
            return code_of_single(error, trace)
    return 0


def _check_working_folder(folder: Path) -> None:
    from hydra.core.hydra_config import HydraConfig

    started_in = Path(HydraConfig.get().runtime.cwd)
    if started_in.is_dir() and started_in.resolve() != Path.cwd().resolve():
        raise UserError(
            f"the run was started in {started_in}, and finds its data and source model from there; this is "
            f"{Path.cwd()}; try: cd {started_in}; headstart resume={folder.resolve()}"
        )

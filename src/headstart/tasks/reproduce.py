"""The task `reproduce`: a finished run made again from its folder, and compared to the last digit."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.report.result_digests import CURVE, changed_files
from headstart.runs.continuing.run_extension import EXTENDED
from headstart.runs.folder.folder_ownership import RUNS, known_hashes
from headstart.runs.folder.run_folder import finished, is_pruned, result_damage, write_json
from headstart.runs.folder.run_naming import OUTPUTS
from headstart.runs.outcome.run_comparison import RunComparison, compared
from headstart.runs.quiet_logs import quieten
from headstart.runs.saved.saved_job import check_working_folder, saved_job
from headstart.system import rank_environment
from headstart.system.files.setting_paths import given_path
from headstart.system.printing.terminal_printing import tell
from headstart.types import DivergedError, NotReproducedError, UserError

log = logging.getLogger(__name__)
FILES = ("config.yaml", "config.signature", "hydra.yaml", "overrides.yaml")  # of .hydra/
RECORD = "reproduction.json"
LISTED = 8  # values and circumstances that are shown


def reproduce(
    *, cfg: DictConfig, run: str | Path, out_dir: str | Path | None, tolerance: Annotated[float, Ge(0)]
) -> RunComparison:
    """Run again what a finished run's folder holds, in a folder of its own, and compare all that both computed.

    On a machine with the same hardware and versions, and the same images, all values are equal to the last digit;
    elsewhere the circumstances that differ are listed. A stranger's folder is read as `headstart resume=` reads it.

    Args:
        cfg: The command's config, of which nothing is read.
        run: The folder of the finished run.
        out_dir: Where it runs again; None for outputs/reproduced/<its name>.
        tolerance: How much a value may differ; 0: not at all, and the weights must be the same bit by bit.

    Raises:
        UserError: The folder holds no finished run, it may not be read, or it can only be extended.
        NotReproducedError: A value differs by more than the tolerance.
    """
    del cfg
    quieten()
    if rank_environment.launcher() is not None:
        raise UserError("task=reproduce starts the ranks of the run itself; give the command without torchrun or srun")
    folder = given_path(run, "reproduce.run")
    result = _result(folder)
    with _own_hydra_config():
        saved = saved_job(folder)  # first: of another person's folder nothing else is read before it is allowed
        _check(folder, result, saved)
        target = OUTPUTS / "reproduced" / folder.resolve().name
        if out_dir is not None:
            target = given_path(out_dir, "reproduce.out_dir")
        if target.resolve() == folder.resolve():
            raise UserError(f"reproduce.out_dir must be another folder than the run's own, got {target}")
        _check_target(target, result)
        write_json(target / RECORD, {"run": str(folder)})  # before anything is run, so that a stopped one is known
        _copy_config(folder, target)
        _run_again(saved_job(target))
    again = finished(target)
    if again is None:
        raise UserError(f"the run was made again, but {target} has no result.json; was it taken away meanwhile?")
    found = compared(folder, result, target, again)
    write_json(target / RECORD, _record(folder, found))
    lines = _lines(found, tolerance)
    if not found.within(tolerance):
        raise NotReproducedError("\n".join(lines))
    tell(*lines)
    return found


def _result(folder: Path) -> dict[str, Any]:
    result = finished(folder)
    if result is None:
        damage = result_damage(folder)
        told = f", whose result.json is damaged ({damage})" if damage else ""
        raise UserError(
            f"reproduce.run must be the folder of a finished run (one with result.json), got {folder}{told}"
        )
    if changed := changed_files(folder, result, CURVE):
        raise UserError(
            f"{' and '.join(changed)} of {folder} changed since the run wrote it, so there is nothing to compare with"
        )
    return result


def _check(folder: Path, result: dict[str, Any], saved: DictConfig) -> None:
    """Raise UserError where the folder is not that of a run which can be made from its config alone."""
    task = saved.get("task")
    node = saved.get(str(task))
    if not isinstance(node, DictConfig) or node.get("_target_") not in RUNS:
        raise UserError(f"task=reproduce makes runs of task=fit, few_images and probe again, got one of task={task}")
    if is_pruned(result):
        raise UserError(f"a search has stopped {folder.name}; to train it anew, to its end: headstart resume={folder}")
    if saved.get(EXTENDED) or result.get("parent"):
        raise UserError(
            f"{folder.name} extends another run, whose last checkpoint it began with; reproduce that one, then "
            "extend it: headstart resume=<folder> trainer.max_epochs=..."
        )
    check_working_folder(f"headstart task=reproduce reproduce.run={folder.resolve()}")


def _check_target(target: Path, result: dict[str, Any]) -> None:
    """Raise UserError where the folder holds anything but an earlier reproduction of this run, which is replaced."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        target.mkdir(parents=True, exist_ok=True)
        return
    known = known_hashes(target) if (target / RECORD).is_file() else None
    if known is None or (known and str(result.get("hash")) not in known):
        raise UserError(
            f"reproduce.out_dir must be a new folder, or that of an earlier reproduction of this run, got {target}, "
            "which holds something else; nothing in it was touched; try reproduce.out_dir=<a new folder>"
        )


def _copy_config(folder: Path, target: Path) -> None:
    """Put the run's config where it is read again, by this process and by ranks; its signature goes with it."""
    (target / ".hydra").mkdir(parents=True, exist_ok=True)
    for name in FILES:
        copy = target / ".hydra" / name
        copy.unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            copy.write_bytes((folder / ".hydra" / name).read_bytes())


def _run_again(cfg: DictConfig) -> None:
    with open_dict(cfg):
        cfg.update({"rerun": True, "resume": None, "trial": None})
    task = instantiate(cfg[cfg.task], _partial_=True, _recursive_=False)
    try:
        task(cfg=cfg)
    except DivergedError as error:  # it has its result, and the first may have diverged too
        log.info("%s", error)


@contextmanager
def _own_hydra_config() -> Iterator[None]:
    """Give Hydra's config of this command back afterwards."""
    before = HydraConfig.instance().cfg
    try:
        yield
    finally:
        HydraConfig.instance().cfg = before


def _record(folder: Path, found: RunComparison) -> dict[str, Any]:
    return {
        "run": str(folder),
        "equal": found.is_equal,
        "compared": found.compared,
        "same_weights": found.same_weights,
        "differences": {each.name: [each.before, each.now] for each in found.differences},
        "circumstances": {each.name: [each.before, each.now] for each in found.circumstances},
        "unknown": list(found.unknown),
    }


def _lines(found: RunComparison, tolerance: float) -> list[str]:
    weights = {True: ", and the weights bit by bit", False: "; the weights differ", None: ""}[found.same_weights]
    if found.is_equal:
        lines = [f"reproduced: all {found.compared} values are equal to the last digit{weights}"]
    else:
        word = "reproduced" if found.within(tolerance) else "not reproduced"
        allowed = f", {tolerance:g} allowed" if tolerance else ""
        lines = [f"{word}: {len(found.differences)} of {found.compared} values differ{allowed}{weights}"]
        lines += _listed(list(map(str, found.differences)))
    if found.circumstances:
        lines += ["what is otherwise here:", *_listed(list(map(str, found.circumstances)))]
    elif not found.is_equal:
        lines.append(
            "the hardware, the versions, the images and your own code's commit are the same"
            + (f", as far as the run says them (not {', '.join(found.unknown)})" if found.unknown else "")
        )
    return lines


def _listed(texts: list[str]) -> list[str]:
    more = [f"  and {len(texts) - LISTED} more"] if len(texts) > LISTED else []
    return [*(f"  {text}" for text in texts[:LISTED]), *more]

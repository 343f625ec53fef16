"""The checkpoint that an unfinished run continues from."""

from __future__ import annotations

import logging
import zipfile
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from headstart.callbacks.checkpoints.best_and_last import BEST, LAST, PREVIOUS, BestAndLast
from headstart.runs.folder.run_folder import finished
from headstart.system import slurm_job
from headstart.system.files.checkpoint_reading import loaded
from headstart.types import UserError

log = logging.getLogger(__name__)


def resume_point(cfg: DictConfig, folder: Path, run_hash: str) -> Path | None:
    """The checkpoint that the run in the folder goes on from; None where it starts anew.

    It starts anew without resume=auto (which a job that SLURM has requeued need not say), with rerun=true, after a
    finished run, and where no checkpoint was written yet. Raises UserError where there are checkpoints, but none that
    can be read, or they are another config's.
    """
    asked = cfg.get("resume") == "auto" or slurm_job.was_requeued()
    if not asked or cfg.get("rerun") or finished(folder) is not None:
        return None
    checkpoints = [path for name in (LAST, PREVIOUS) if (path := folder / "checkpoints" / name).exists()]
    if not checkpoints:
        return None
    damages = {}
    for path in checkpoints:
        damage = damage_of(path)
        if not damage:
            _check(path, run_hash)
            return path
        damages[path.name] = damage
        log.warning("%s is damaged (%s)%s", path, damage, f"; trying {PREVIOUS}" if path.name == LAST else "")
    told = ", ".join(f"{name} ({damage})" for name, damage in damages.items())
    raise UserError(
        f"the run in {folder} cannot go on: expected a whole {LAST} or {PREVIOUS} in its checkpoints/, got "
        f"damaged ones: {told}; rerun=true starts it anew"
    )


def damage_of(path: Path) -> str:
    """What is wrong with a checkpoint's file, by the checksums in it; empty where nothing is."""
    try:
        with zipfile.ZipFile(path) as archive:
            torn = archive.testzip()
        if not torn:
            loaded(path, mmap=True)  # sees what lies between the parts
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError, UserError) as error:
        return (str(error) or type(error).__name__).partition(". ")[0]
    return f"its part {torn} is not what was written" if torn else ""


def _check(path: Path, run_hash: str) -> None:
    checkpoint: dict[str, Any] = loaded(path, mmap=True)
    if checkpoint.get("run_hash") != run_hash:
        raise UserError(
            f"{path} was written by a run of another config (hash {checkpoint.get('run_hash')}, this one is "
            f"{run_hash}); headstart resume={path.parent.parent} goes on with the config in the folder, rerun=true "
            "starts anew"
        )
    best = path.with_name(BEST)
    # nothing was best yet: a run without validation writes it when it ends
    has_none = checkpoint["callbacks"].get(BestAndLast.__qualname__) == {"best": {}} and not best.exists()
    if not has_none and (damage := damage_of(best)):
        raise UserError(f"the run cannot go on: its {best} is damaged ({damage}); rerun=true starts it anew")
    log.info("going on from %s: epoch %d, step %d", path, checkpoint["epoch"], checkpoint["global_step"])

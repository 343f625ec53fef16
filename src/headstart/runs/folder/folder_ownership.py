"""Whether a run may write into a folder: an empty one, or that of the same run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from headstart.report.config_leaves import leaves
from headstart.report.result_digests import CURVE, changed_files
from headstart.report.stored_runs.study_runs import config_in
from headstart.runs.folder.folder_mark import MARK, holder, marked_hashes
from headstart.runs.folder.run_folder import CHECKPOINTS, RESULT, finished, finished_for
from headstart.runs.folder.run_naming import OF_THE_COMMAND, OF_THE_STUDY, Hashes, hashes
from headstart.runs.folder.training_lock import LOCK, held_alone, is_held
from headstart.system.credential_masking import masked_in
from headstart.system.printing.name_listing import first_few
from headstart.types import UserError

log = logging.getLogger(__name__)
RUN_WEIGHTS = "run_weights"  # in the result of a task that looks at a finished run: the hash of that run's weights
# what lies in a folder before a run has begun there: Hydra's files, and what a run that failed at once has left
BEFOREHAND = (
    ".hydra", LOCK, MARK, f".{MARK}.*",  # the last: a mark that a command is writing, or was when it was killed
    "*.log", "error.txt", "error-rank*.txt", "reproduction.json", ".reproduction.json.*",
)  # fmt: skip
NOT_SETTINGS = ("hydra", "run_dir", "tuned", "chosen", *OF_THE_COMMAND, *OF_THE_STUDY)
# tasks with a run's folder
OF_FEATURES = ("probe", "few_images", "rank_sources", "more_labels", "label_errors", "compare")
RUNS = tuple(f"headstart.tasks.{name}.{name}" for name in ("fit", "find_lr", "choose", "rank_check", *OF_FEATURES))


class TakenError(UserError):
    """The folder is another run's, or no run's at all: nothing may be written into it."""


def finished_run(cfg: DictConfig, folder: Path, own: Hashes) -> dict[str, Any] | None:
    """The result of the finished run of this very config in its folder; None with rerun=true, and where there is none.

    own: the config's hashes. Raises UserError where the run's curve is no longer what it wrote.
    """
    result = None if cfg.get("rerun") else finished_for(cfg, folder)
    of_run, marked = (result or {}).get("hash"), marked_hashes(folder)
    if of_run and marked and of_run not in (*marked, *own):
        return None  # rerun=true was about to replace it, and was stopped
    if result is not None and (changed := changed_files(folder, result, CURVE)):
        raise UserError(
            f"{folder.name} has a {RESULT}, but {' and '.join(changed)} is not what the run wrote: it was changed or "
            "cut since; rerun=true runs it again"
        )
    return result


def finished_or(
    cfg: DictConfig,
    make: Callable[[Path, Hashes], dict[str, Any]],
    *,
    again: str,
    is_of_now: Callable[[dict[str, Any]], bool] = lambda _: True,
) -> dict[str, Any]:
    """The result of a task in its folder: of the finished one there, or made now.

    Another command that asks for the same waits and takes its result. A result of a finished run (`run_dir`) whose
    weights are other ones now counts as none.

    Args:
        cfg: The task's config.
        make: Gets the folder and the config's hashes; marks the folder when it begins to write, and gives the result.
        again: What rerun=true does, in the line that says that it is finished.
        is_of_now: Whether a finished result is of what the task would look at now.

    Raises:
        UserError: The folder is another run's.
    """
    folder, own = Path(cfg.run_dir), hashes(cfg)
    check_folder(cfg, folder, own)
    folder.mkdir(parents=True, exist_ok=True)
    with held_alone(folder / LOCK, what=f"task={cfg.task} in {folder.name}", folder=folder):
        check_folder(cfg, folder, own, holds_lock=True)
        result = finished_run(cfg, folder, own)
        if result is None:
            return make(folder, own)
        if not is_of_now(result) or not is_of_same_weights(result):
            log.warning("%s is made anew: its result is of other weights or images than there are now", folder.name)
            return make(folder, own)
    log.info("%s is finished (rerun=true %s again)", folder.name, again)
    return result


def is_of_same_weights(result: dict[str, Any]) -> bool:
    """Whether the finished run that a result on frozen features is of still has the weights that it had then.

    Args:
        result: Of the task; one of no run, or of an earlier version, says nothing of weights.
    """
    run, told = result.get("run"), result.get(RUN_WEIGHTS)
    now = finished(Path(run)) if isinstance(run, str) and told is not None else None
    return now is None or now.get("weights_hash") == told


def run_hash(own: Hashes, known: tuple[str, ...]) -> str:
    """The hash of the run that has these two; where one of these known ones is that by the earlier rule, that one."""
    return next((digest for digest in known if digest in own), own.now)


def check_folder(cfg: DictConfig, folder: Path, own: Hashes, *, holds_lock: bool = False) -> None:
    """Raise TakenError where the folder is not this run's to write into.

    It may where there is no such folder, where it is empty but for what Hydra writes beforehand, where it has the mark,
    the result, a checkpoint or the name of a run of this hash, and where an earlier run of another hash left no result
    and no checkpoint. rerun=true replaces a run of another hash too; a folder that is no run's is never written into.

    own: the config's hashes. holds_lock: whether this process holds the folder's lock; else a run of another hash may
    be training there.
    """
    if not folder.is_dir():
        if folder.exists():
            raise TakenError(f"expected a folder for the run, got the file {folder}; try another hydra.run.dir")
        return
    if folder.name.rpartition("-")[2] in own:
        return
    known = known_hashes(folder)
    if not known:
        if foreign := _foreign(folder):
            raise TakenError(
                f"{folder} is no run's folder: it holds {first_few(foreign)} and no {MARK}; nothing in it was touched; "
                "give the run an empty folder or a new one (hydra.run.dir=<folder>, of a sweep hydra.sweep.dir)"
            )
        return
    if set(own) & set(known) or cfg.get("rerun"):
        return
    if not marked_hashes(folder) and (cfg.get("recipe") or cfg.get("tuning")):
        return  # its hash is that of the values that were found, which nobody knows before
    if not holds_lock and is_held(folder / LOCK):
        raise TakenError(
            f"{folder} is being trained by {holder(folder)}, with other settings ({_differences(cfg, folder, own)}); "
            "give this run another folder (hydra.run.dir, hydra.sweep.subdir)"
        )
    if (folder / RESULT).exists() or any((folder / CHECKPOINTS).glob("*.ckpt")):
        state = "finished" if finished(folder) is not None else "unfinished"
        raise TakenError(
            f"{folder} holds a{'n' if state == 'unfinished' else ''} {state} run of other settings "
            f"({_differences(cfg, folder, own)}); give this run another folder (hydra.run.dir, hydra.sweep.subdir), or "
            "rerun=true to put it in the place of that one"
        )


def known_hashes(folder: Path) -> tuple[str, ...]:
    """The hashes of the run that the folder holds, by its mark, else its result, else its last checkpoint."""
    if marked := marked_hashes(folder):
        return marked
    result = finished(folder)
    if result is not None:
        return (str(result["hash"]),) if result.get("hash") else ()
    return _hash_of_checkpoint(folder / CHECKPOINTS / "last.ckpt")


def _hash_of_checkpoint(file: Path) -> tuple[str, ...]:
    if not file.is_file():
        return ()
    from headstart.system.files.checkpoint_reading import (
        loaded,  # here, as it needs torch, and the command asks before it trains
    )

    try:
        checkpoint = loaded(file, mmap=True)
    except Exception:  # torch raises whatever its zip reader or a half pickle does
        return ()
    digest = checkpoint.get("run_hash") if isinstance(checkpoint, dict) else None
    return (str(digest),) if digest else ()


def _foreign(folder: Path) -> list[str]:
    """What lies in a folder besides what may be there before a run has begun."""
    beforehand = {path for pattern in BEFOREHAND for path in folder.glob(pattern)}
    return sorted(path.name for path in folder.iterdir() if path not in beforehand)


def _differences(cfg: DictConfig, folder: Path, own: Hashes) -> str:
    """`seed 0 there, 1 here`: the settings in which the folder's run and this one differ."""
    plain = OmegaConf.to_container(cfg, resolve=False)
    asked_settings, folder_settings = _settings(leaves(masked_in(plain))), _settings(leaves(config_in(folder)))
    if not folder_settings:
        return "its config.yaml cannot be read"
    differing = [
        key
        for key in sorted(asked_settings.keys() | folder_settings.keys())
        if asked_settings.get(key) != folder_settings.get(key)
    ]
    told = [
        f"{key} {_shown(folder_settings.get(key))} there, {_shown(asked_settings.get(key))} here" for key in differing
    ]
    return first_few(told) or f"hash {', '.join(known_hashes(folder))} there, {own.now} here"


def _settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key.partition(".")[0] not in NOT_SETTINGS}


def _shown(value: Any) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

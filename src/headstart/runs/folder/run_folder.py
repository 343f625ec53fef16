"""Files of a run's folder: what a run makes, when it is finished, what a new run in it replaces."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from headstart.system.credential_masking import masked_in
from headstart.system.files.atomic_write import plain, write_whole
from headstart.system.result_format import PRUNED, current_result

ANSWERS = "answers"  # what each image contributed to the metrics
CHECKPOINTS = "checkpoints"
NAMES = frozenset({"class_names", "hash", "mode", "name", "study"})  # by which runs are found and compared
RESULT = "result.json"  # written last: where it is, the run is finished
WEIGHTS = ("best", "last", "previous", "interpolated", "soup")  # of checkpoints, without .ckpt
# what would mix with a new run's files; nothing else in the folder is ever taken away
REPLACED = (
    "metrics.csv", RESULT, "error.txt", "events.out.tfevents.*",
    "profile-*.txt", "profile.*.pt.trace.json", "profile-rank*.pt.trace.json",
    *(f"{CHECKPOINTS}/{name}.ckpt{end}" for name in WEIGHTS for end in ("", ".partial")),
    *(f"{ANSWERS}/{split}.npz{end}" for split in ("val", "test", "test-*") for end in ("", ".partial")),
)  # fmt: skip


def finished(folder: Path) -> dict[str, Any] | None:
    """The result of a finished run, None where there is none; a damaged one counts as none."""
    return _read(folder)[0]


def is_pruned(result: Mapping[str, Any]) -> bool:
    """Whether a search has stopped the run: for any other command it is not finished."""
    return bool(result.get("state") == PRUNED)


def finished_for(cfg: Mapping[str, Any], folder: Path) -> dict[str, Any] | None:
    """The result of the run in the folder where it is finished for a job of this config.

    cfg: the job's; with `trial`, a run that a search has stopped counts as finished.
    """
    result = finished(folder)
    return None if result is not None and is_pruned(result) and not cfg.get("trial") else result


def result_damage(folder: Path) -> str:
    """What is wrong with the folder's result.json; empty where nothing is, or there is none."""
    return _read(folder)[1]


def _read(folder: Path) -> tuple[dict[str, Any] | None, str]:
    try:
        content = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None, ""
    except OSError as error:  # a link to itself, a folder that may not be read
        return None, f"it cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        return None, "it is not UTF-8"
    except (ValueError, RecursionError):
        return None, "it is not JSON, or was cut"
    if not isinstance(content, dict):
        return None, f"it holds a {type(content).__name__} in place of an object"
    if not isinstance(content.get("metrics"), dict):
        return None, "it has no metrics"
    try:
        return current_result(content), ""
    except ValueError as error:
        return None, str(error)


def cleared(folder: Path) -> Path:
    """The folder without what an earlier run left in it: it would mix with the new run's curves.

    What a run does not make stays: files of other names, and other files in checkpoints/ and answers/.
    """
    for pattern in REPLACED:
        for leftover in folder.glob(pattern):
            if leftover.is_dir() and not leftover.is_symlink():  # a checkpoint of a strategy that writes folders
                shutil.rmtree(leftover)
            else:
                leftover.unlink()
    with suppress(OSError):  # there is none, or it holds something else
        (folder / ANSWERS).rmdir()
    (folder / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
    return folder


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write so that whoever reads sees all of it or nothing; floats that are no number become null, secrets masked."""
    write_whole(path, json.dumps(plain(masked_in(content, without=NAMES)), indent=2, allow_nan=False) + "\n")

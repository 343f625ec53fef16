"""SHA-256 digests of a finished run's files, as its result.json keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headstart.system.files.file_identity import sha256

KEY = "files"  # in result.json: name -> digest; older results have none, and nothing is known of their files
TABLE, WEIGHTS = "metrics.csv", "checkpoints/best.ckpt"
CURVE = (TABLE, "answers/val.npz", "answers/test.npz")  # what a report is made of


def digests(folder: Path) -> dict[str, str]:
    """The digests of the files that are read again when a run is finished, as far as it has them."""
    return {name: sha256(folder / name) for name in (*CURVE, WEIGHTS) if (folder / name).is_file()}


def changed_files(folder: Path, result: Mapping[str, Any], names: tuple[str, ...]) -> list[str]:
    """Which of these files are not what the run wrote; empty where its result has no digests.

    A missing one counts for metrics.csv alone: whoever takes other files away to save space, loses what they are for.
    """
    entry = result.get(KEY)
    checksums = entry if isinstance(entry, dict) else {}
    return [name for name in names if name in checksums and _is_changed(folder / name, name, checksums[name])]


def _is_changed(file: Path, name: str, digest: object) -> bool:
    return sha256(file) != digest if file.is_file() else name == TABLE

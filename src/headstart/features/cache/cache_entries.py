"""Entries of the feature cache: one folder with metadata for each cut."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.features.cache import cache_shards
from headstart.features.cache.activation_key import Cut

METADATA = "about.json"  # the name of the file in caches of all versions
REQUIRED = {"stages", "answer", "shape"}  # its keys


@dataclass(frozen=True)
class CacheEntry:
    """What the cache holds of a cut.

    Args:
        key: Name of the folder.
        stages: Names of the stages before the cut.
        pooled: Whether the activations are means over space.
        shape: Of one image's activations.
        dtype: Of the stored rows.
        images: Their count.
        bytes: Size on disk.
        used: When it was last read, in seconds since 1970.
    """

    key: str
    stages: tuple[str, ...]
    pooled: bool
    shape: tuple[int, ...]
    dtype: str
    images: int
    bytes: int
    used: float


def entry_of(folder: Path) -> CacheEntry:
    """The entry in a folder."""
    metadata = metadata_of(folder) or {}
    paths = list(folder.glob(f"*{cache_shards.SUFFIX}"))
    status = [path.stat() for path in paths]
    return CacheEntry(
        key=folder.name,
        stages=tuple(metadata.get("stages", {})),
        pooled=bool(metadata.get("pooled")),
        shape=tuple(metadata.get("shape", ())),
        dtype=str(metadata.get("dtype", "")),
        images=sum(len(cache_shards.digests(path)) for path in paths),
        bytes=sum(file.st_size for file in status),
        used=max((file.st_mtime for file in status), default=folder.stat().st_mtime),
    )


def entry_folders(folder: Path) -> list[Path]:
    """The folders of all entries of a cache; other files may lie beside them."""
    return [path for path in folder.iterdir() if metadata_of(path) is not None]


def metadata_of(folder: Path) -> dict[str, Any] | None:
    """The metadata in a folder; None where the folder is no entry."""
    try:
        metadata = json.loads((folder / METADATA).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):  # bad JSON and bad text are ValueErrors
        return None
    return metadata if isinstance(metadata, dict) and metadata.keys() >= REQUIRED else None


def write_metadata(folder: Path, cut: Cut) -> None:
    """Make the folder of a cut, with its metadata."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**cut.facts, "answer": cut.fingerprint, "shape": cut.shape}, indent=1)
    partial = folder / f"{METADATA}.{time.monotonic_ns()}.partial"
    partial.write_text(text, encoding="utf-8")
    partial.replace(folder / METADATA)


def remove_entry(folder: Path) -> None:
    """Remove the files of an entry; a process that reads them has them to the end."""
    for pattern in (f"*{cache_shards.SUFFIX}", f"{METADATA}*", "*.partial"):  # other people's files stay
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()
    folder.with_name(f"{folder.name}.lock").unlink(missing_ok=True)

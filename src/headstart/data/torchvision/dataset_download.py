"""torchvision's data sets read from a folder, or downloaded to it."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import Any

from filelock import FileLock

from headstart.data.torchvision.dataset_names import OfficialDataset
from headstart.types import UserError


def official_splits(
    name: str, official: OfficialDataset, chosen: dict[str, Any], root: Path, *, download: bool
) -> dict[str, Any]:
    """torchvision's data set of each official split. Raises UserError where it is not there or cannot be had."""
    from torchvision import datasets

    make: Callable[..., Any] = getattr(datasets, name)

    def built(*, fetch: bool) -> dict[str, Any]:
        with _unpacked(root, official) as place:
            return {
                split: make(root=root if fetch else place, **asked, **chosen, **({"download": True} if fetch else {}))
                for split, asked in official.splits.items()
            }

    missing = (RuntimeError, OSError, ImportError, ValueError)  # what torchvision raises, by data set
    try:
        return built(fetch=False)
    except missing as error:
        if not download:
            raise UserError(
                f"{name} must lie in {root}, as {official.place}, and cannot be read there "
                f"({type(error).__name__}: {error}); set root, or let download=true fetch it"
            ) from error
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{name}.lock"):  # one process fetches, the other ranks and jobs wait
            try:
                return built(fetch=False)
            except missing:
                return built(fetch=True)
    except missing as error:
        raise UserError(
            f"{name} could not be downloaded to {root} ({type(error).__name__}: {error}); is there a network? "
            f"Else put its files there by hand, as {official.place}, and set download=false"
        ) from error


@contextmanager
def _unpacked(root: Path, official: OfficialDataset) -> Iterator[Path]:
    """A root where the files of MNIST and its like are unpacked, as torchvision reads no others: root, or a copy.

    root may be for reading only; these classes hold all in memory once they are made.
    """
    packed = [file for file in (root / official.place).glob("*.gz") if not file.with_suffix("").exists()]
    if not official.place.endswith("/raw") or not packed:
        yield root
        return
    with TemporaryDirectory() as copy:
        raw = Path(copy) / official.place
        raw.mkdir(parents=True)
        for file in packed:
            with gzip.open(file) as inside, (raw / file.stem).open("wb") as out:
                copyfileobj(inside, out)
        for file in (root / official.place).iterdir():
            if file.suffix != ".gz":
                (raw / file.name).symlink_to(file.resolve())
        yield Path(copy)

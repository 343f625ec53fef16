"""Which activations are stored, and which are still to be computed?"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from annotated_types import Ge, Gt
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor

from headstart.features.cache import cache_shards
from headstart.features.cache.activation_key import Cut, as_served, as_stored, same_answer
from headstart.system.setting_paths import given_path
from headstart.types import UserError

log = logging.getLogger(__name__)
T = TypeVar("T")
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
ABOUT = "about.json"
MARKS = {"stages", "answer", "shape"}  # what it says at least
SHARD_BYTES = 64 * 2**20  # of a full shard: what filling the store holds in memory


class Part(NamedTuple):
    """The images of a split, by their content.

    make: positions (n,) -> their activations, batch by batch: positions (B,) and what each cut gives.
    """

    digests: NDArray[np.bytes_]  # (N,)
    make: Callable[[NDArray[np.int64]], Iterable[tuple[NDArray[np.int64], Mapping[Cut, Tensor]]]]


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes fill the store together; gather: what each of them has, once all have said it."""

    rank: int = 0
    count: int = 1
    gather: Callable[[bool], list[bool]] = lambda own: [own]


class StoredRows:
    """The activations of a part's images, by their positions; memory-mapped."""

    def __init__(self, pieces: Sequence[Tensor], piece: NDArray[np.int64], row: NDArray[np.int64]) -> None:
        self._pieces = pieces
        self._piece, self._row = torch.from_numpy(piece), torch.from_numpy(row)

    def at(self, positions: NDArray[np.int64]) -> Tensor:
        """Those of the images at these positions (B,): (B, ...), float32."""
        index = torch.from_numpy(positions)
        row = self._row[index]
        if len(self._pieces) == 1:
            return as_served(self._pieces[0].index_select(0, row))
        piece = self._piece[index]
        found = torch.empty(len(positions), *self._pieces[0].shape[1:], dtype=self._pieces[0].dtype)
        for number in torch.unique(piece).tolist():
            mine = piece == number
            found[mine] = self._pieces[number].index_select(0, row[mine])
        return as_served(found)


class FeatureCache:
    """Activations of frozen stages on disk, shared by all that asks for the same ones: epochs, runs, seeds, jobs.

    folder: one folder a cut, named by its key, with shards of rows, each with the digests of its images: an image
    is found by its content, whatever split and data set it is in. max_gib: of all of it; what was used least lately
    goes first. dtype: that rows are stored in; float32 is exact. views: how many augmented views of a training
    image are kept, 0 = none, augmented images are computed each time. Jobs that fill the same cut wait for each
    other; ranks of a job share the work.
    """

    def __init__(
        self,
        *,
        folder: str | Path,
        max_gib: Annotated[float, Gt(0)],
        dtype: Literal["float32", "float16", "bfloat16"],
        views: Annotated[int, Ge(0)],
    ) -> None:
        if dtype not in DTYPES:
            raise UserError(f"feature_cache.dtype is one of {', '.join(DTYPES)}, got {dtype!r}")
        self.folder, self.max_gib, self.dtype, self.views = (
            given_path(folder, "feature_cache.folder"),
            max_gib,
            dtype,
            views,
        )

    @property
    def max_bytes(self) -> int:
        return int(self.max_gib * 2**30)

    def needed_bytes(self, cut: Cut, images: int) -> int:
        """Of the activations of so many images."""
        return images * int(np.prod(cut.shape)) * DTYPES[self.dtype].itemsize

    def found(
        self, cuts: Sequence[Cut], parts: Mapping[T, Part], ranks: Ranks | None = None
    ) -> tuple[dict[tuple[T, Cut], StoredRows], int]:
        """The rows of each part at each cut, and how many images had to be computed by this process.

        What is missing is computed once, for all cuts in one pass, by all ranks together. Raises UserError where the
        folder cannot be written.
        """
        try:
            return self._found(cuts, parts, ranks or Ranks())
        except OSError as error:
            raise UserError(
                f"the feature cache in {self.folder} cannot be used: {error}; try "
                "feature_cache.folder=<another folder>, or feature_cache=off to compute frozen stages in each epoch"
            ) from error

    def _found(
        self, cuts: Sequence[Cut], parts: Mapping[T, Part], ranks: Ranks
    ) -> tuple[dict[tuple[T, Cut], StoredRows], int]:
        if ranks.rank == 0:
            self._prepare(cuts)
        ranks.gather(True)
        tables = {cut: self._table(cut) for cut in cuts}
        missing = {name: _missing(part, tables.values()) for name, part in parts.items()}
        computed = 0
        if any(ranks.gather(any(map(len, missing.values())))):
            with ExitStack() as held:
                if ranks.rank == 0:  # for all ranks; in the order of the keys, so that no two jobs wait for each other
                    for cut in sorted(cuts, key=lambda cut: cut.key):
                        held.enter_context(FileLock(self.folder / f"{cut.key}.lock"))
                    self._make_room(cuts, parts, missing)
                ranks.gather(True)  # what another job was filling is there now
                tables = {cut: self._table(cut) for cut in cuts}
                missing = {name: _missing(part, tables.values()) for name, part in parts.items()}
                ranks.gather(True)  # nobody writes before all have seen the same
                for name, part in parts.items():
                    computed += self._fill(cuts, part, missing[name][ranks.rank :: ranks.count])
                ranks.gather(True)
            tables = {cut: self._table(cut) for cut in cuts}
            for part in parts.values():
                # what another rank wrote to a disk of its own, or another job has just removed
                left = _missing(part, tables.values())
                computed += self._fill(cuts, part, left)
                if len(left):
                    tables = {cut: self._table(cut) for cut in cuts}
        rows = {(name, cut): _rows(tables[cut], part) for name, part in parts.items() for cut in cuts}
        return rows, computed

    # ------------------------------------------------------------------ what is there

    def entries(self) -> list[Entry]:
        """What the store holds, the most lately used first."""
        if not self.folder.is_dir():
            return []
        found = [_entry(path) for path in self.folder.iterdir() if _is_own(path)]
        return sorted(found, key=lambda entry: -entry.used)

    def remove(self, key: str) -> None:
        """Take a cut's activations away; who reads them has them to the end."""
        for pattern in (f"*{cache_shards.SUFFIX}", f"{ABOUT}*", "*.partial"):  # what somebody else put there stays
            for path in (self.folder / key).glob(pattern):
                path.unlink(missing_ok=True)
        with suppress(OSError):
            (self.folder / key).rmdir()
        (self.folder / f"{key}.lock").unlink(missing_ok=True)

    # ------------------------------------------------------------------ filling

    def _prepare(self, cuts: Sequence[Cut]) -> None:
        for cut in cuts:
            folder = self.folder / cut.key
            about = _about(folder)
            if about is not None and not same_answer(about["answer"], cut.answer):
                log.warning(
                    "the stages up to %s have the weights and layers of %s but answer otherwise, as their code has "
                    "changed: what is stored of them is computed again",
                    list(cut.facts["stages"])[-1],
                    folder,
                )
                self.remove(cut.key)
                about = None
            if about is None:
                folder.mkdir(parents=True, exist_ok=True)
                text = json.dumps({**cut.facts, "answer": cut.answer, "shape": cut.shape}, indent=1)
                partial = folder / f"{ABOUT}.{time.monotonic_ns()}.partial"
                partial.write_text(text, encoding="utf-8")
                partial.replace(folder / ABOUT)

    def _fill(self, cuts: Sequence[Cut], part: Part, positions: NDArray[np.int64]) -> int:
        """Compute and write the activations of the images at these positions; how many there were."""
        if not len(positions):
            return 0
        waiting: dict[Cut, _Waiting] = {cut: _Waiting() for cut in cuts}
        for done, found in part.make(positions):
            for cut, activations in found.items():
                rows = as_stored(activations).to("cpu", DTYPES[self.dtype])
                waiting[cut].add(rows, part.digests[done])
                if waiting[cut].bytes >= SHARD_BYTES:
                    waiting[cut].write(self.folder / cut.key)
        for cut, rest in waiting.items():
            rest.write(self.folder / cut.key)
        return len(positions)

    def _make_room(self, cuts: Sequence[Cut], parts: Mapping[T, Part], missing: Mapping[T, NDArray[np.int64]]) -> None:
        """Remove what was used least lately until what is missing fits, but nothing that is asked for."""
        images = sum(map(len, missing.values()))
        wanted = sum(self.needed_bytes(cut, images) for cut in cuts)
        asked = np.concatenate([part.digests for part in parts.values()])
        own = {cut.key for cut in cuts}
        there = [path for path in self.folder.iterdir() if _is_own(path)]
        files = [(path, path.stat()) for one in there for path in one.glob(f"*{cache_shards.SUFFIX}")]
        left = sum(status.st_size for _, status in files)
        for path, status in sorted(files, key=lambda one: one[1].st_mtime):
            if left + wanted <= self.max_bytes:
                break
            if path.parent.name in own and np.isin(cache_shards.digests(path), asked).any():
                continue
            path.unlink(missing_ok=True)
            left -= status.st_size
            if path.parent.name not in own and not any(path.parent.glob(f"*{cache_shards.SUFFIX}")):
                self.remove(path.parent.name)

    # ------------------------------------------------------------------ reading

    def _table(self, cut: Cut) -> _Table:
        found = [cache_shards.read(path) for path in sorted((self.folder / cut.key).glob(f"*{cache_shards.SUFFIX}"))]
        whole = [shard for shard in found if shard is not None]
        digests = [shard.digests for shard in whole]
        return _Table(
            [shard.rows for shard in whole],
            np.concatenate(digests) if digests else np.empty(0, cache_shards.DIGEST),
            np.repeat(np.arange(len(whole)), [len(one) for one in digests]),
            np.concatenate([np.arange(len(one)) for one in digests]) if digests else np.empty(0, np.int64),
        )


@dataclass(frozen=True)
class Entry:
    """What the store holds of a cut."""

    key: str
    stages: tuple[str, ...]
    pooled: bool
    shape: tuple[int, ...]
    dtype: str
    images: int
    bytes: int
    used: float  # seconds since 1970


class _Table(NamedTuple):
    pieces: list[Tensor]
    digests: NDArray[np.bytes_]  # (M,) of all rows of all pieces
    piece: NDArray[np.int64]  # (M,)
    row: NDArray[np.int64]  # (M,)


class _Waiting:
    """Rows that are not yet on disk."""

    def __init__(self) -> None:
        self._rows: list[Tensor] = []
        self._digests: list[NDArray[np.bytes_]] = []
        self.bytes = 0

    def add(self, rows: Tensor, digests: NDArray[np.bytes_]) -> None:
        self._rows.append(rows)
        self._digests.append(digests)
        self.bytes += rows.numel() * rows.element_size()

    def write(self, folder: Path) -> None:
        if self._rows:
            folder.mkdir(parents=True, exist_ok=True)
            cache_shards.write(folder, torch.cat(self._rows), np.concatenate(self._digests))
        self.__init__()  # type: ignore[misc]


def _missing(part: Part, tables: Iterable[_Table]) -> NDArray[np.int64]:
    """The positions (n,) of images that one of the cuts lacks; of images with the same content the first."""
    lacking = np.zeros(len(part.digests), bool)
    for table in tables:
        lacking |= ~np.isin(part.digests, table.digests)
    _, first = np.unique(part.digests, return_index=True)
    return np.intersect1d(np.flatnonzero(lacking), first)


def _rows(table: _Table, part: Part) -> StoredRows:
    order = np.argsort(table.digests, kind="stable")
    place = order[np.searchsorted(table.digests, part.digests, sorter=order)]
    used, piece = np.unique(table.piece[place], return_inverse=True)
    return StoredRows([table.pieces[number] for number in used], piece, table.row[place])


def _is_own(folder: Path) -> bool:
    """Whether a folder is one that the store has made: other files may lie where the store does."""
    return _about(folder) is not None


def _about(folder: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):  # bad JSON and bad text are ValueErrors
        return None
    return found if isinstance(found, dict) and found.keys() >= MARKS else None


def _entry(folder: Path) -> Entry:
    about = _about(folder) or {}
    paths = list(folder.glob(f"*{cache_shards.SUFFIX}"))
    status = [path.stat() for path in paths]
    return Entry(
        key=folder.name,
        stages=tuple(about.get("stages", {})),
        pooled=bool(about.get("pooled")),
        shape=tuple(about.get("shape", ())),
        dtype=str(about.get("dtype", "")),
        images=sum(len(cache_shards.digests(path)) for path in paths),
        bytes=sum(one.st_size for one in status),
        used=max((one.st_mtime for one in status), default=folder.stat().st_mtime),
    )

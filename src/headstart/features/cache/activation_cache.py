"""Feature cache: activations of frozen stages on disk, each image computed once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from annotated_types import Ge, Gt
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor

from headstart.features.cache import cache_shards
from headstart.features.cache.activation_key import Cut, as_stored, same_fingerprint
from headstart.features.cache.cache_entries import (
    CacheEntry,
    entry_folders,
    entry_of,
    metadata_of,
    remove_entry,
    write_metadata,
)
from headstart.features.cache.cached_rows import CachedRows, RowIndex, cached_rows, missing_positions, row_index
from headstart.system.files.setting_paths import given_path
from headstart.types import UserError

log = logging.getLogger(__name__)
T = TypeVar("T")
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
SHARD_BYTES = 64 * 2**20  # of a full shard: memory that a fill takes


class ImagesToCache(NamedTuple):
    """Images by their content, and how their activations are computed.

    compute: positions (n,) -> batches of positions (B,) and the activations at each cut.
    """

    digests: NDArray[np.bytes_]  # (N,)
    compute: Callable[[NDArray[np.int64]], Iterable[tuple[NDArray[np.int64], Mapping[Cut, Tensor]]]]


@dataclass(frozen=True)
class CacheRanks:
    """The processes that fill the cache together.

    Args:
        rank: Of this process.
        count: Of all processes.
        gather: A value of this process -> those of all processes; waits for all.
    """

    rank: int = 0
    count: int = 1
    gather: Callable[[bool], list[bool]] = lambda value: [value]


class FeatureCache:
    """Activations of frozen stages on disk, shared by epochs, runs, seeds and jobs.

    Each cut has a folder named by its key, with shards of rows and the digests of their images: an image is looked up
    by its content, whatever its split and data set. Jobs that fill the same cut wait for each other; the ranks of a
    job share the work.

    Args:
        folder: Of the cache.
        max_gib: Size of the whole cache; the least recently used rows are removed first.
        dtype: Of the stored rows; float32 is exact.
        views: Cached augmented views of each training image; with 0 augmented images are computed each time.
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
        """Size of the activations of `images` images at a cut."""
        return images * int(np.prod(cut.shape)) * DTYPES[self.dtype].itemsize

    def rows(
        self, cuts: Sequence[Cut], images: Mapping[T, ImagesToCache], ranks: CacheRanks | None = None
    ) -> tuple[dict[tuple[T, Cut], CachedRows], int]:
        """The rows of the images at each cut; missing ones are computed, for all cuts in one pass, by all ranks.

        Args:
            cuts: Where activations are cached.
            images: Name -> images.
            ranks: The processes that call this together; None means this one alone.

        Returns:
            (name, cut) -> rows, and the number of images that this process has computed.

        Raises:
            UserError: The folder cannot be read or written.
        """
        try:
            return self._rows(cuts, images, ranks or CacheRanks())
        except OSError as error:
            raise UserError(
                f"the feature cache in {self.folder} cannot be used: {error}; try "
                "feature_cache.folder=<another folder>, or feature_cache=off to compute frozen stages in each epoch"
            ) from error

    def _rows(
        self, cuts: Sequence[Cut], images: Mapping[T, ImagesToCache], ranks: CacheRanks
    ) -> tuple[dict[tuple[T, Cut], CachedRows], int]:
        if ranks.rank == 0:
            self._prepare(cuts)
        ranks.gather(True)
        indices = self._indices(cuts)
        missing = {name: missing_positions(named.digests, indices.values()) for name, named in images.items()}
        computed = 0
        if any(ranks.gather(any(map(len, missing.values())))):
            with ExitStack() as locks:
                if ranks.rank == 0:  # for all ranks; in the order of the keys, so that no two jobs wait for each other
                    for cut in sorted(cuts, key=lambda cut: cut.key):
                        locks.enter_context(FileLock(self.folder / f"{cut.key}.lock"))
                    self._make_room(cuts, images, missing)
                ranks.gather(True)  # another job may have filled it meanwhile
                indices = self._indices(cuts)
                missing = {name: missing_positions(named.digests, indices.values()) for name, named in images.items()}
                ranks.gather(True)  # no rank writes before all have the same missing ones
                for name, named in images.items():
                    computed += self._fill(cuts, named, missing[name][ranks.rank :: ranks.count])
                ranks.gather(True)
            indices = self._indices(cuts)
            for named in images.values():
                # rows that another rank wrote to a disk of its own, or that another job has just removed
                left = missing_positions(named.digests, indices.values())
                computed += self._fill(cuts, named, left)
                if len(left):
                    indices = self._indices(cuts)
        rows = {(name, cut): cached_rows(indices[cut], named.digests) for name, named in images.items() for cut in cuts}
        return rows, computed

    # ------------------------------------------------------------------ entries

    def entries(self) -> list[CacheEntry]:
        """The entries of the cache, the most recently used first."""
        if not self.folder.is_dir():
            return []
        return sorted(map(entry_of, entry_folders(self.folder)), key=lambda entry: -entry.used)

    def remove(self, key: str) -> None:
        """Remove the activations of a cut; a process that reads them has them to the end."""
        remove_entry(self.folder / key)

    # ------------------------------------------------------------------ filling

    def _prepare(self, cuts: Sequence[Cut]) -> None:
        for cut in cuts:
            folder = self.folder / cut.key
            metadata = metadata_of(folder)
            if metadata is not None and not same_fingerprint(metadata["answer"], cut.fingerprint):
                log.warning(
                    "the stages up to %s have the weights and layers of %s but give other activations, as their code "
                    "has changed: their cached activations are computed again",
                    list(cut.facts["stages"])[-1],
                    folder,
                )
                self.remove(cut.key)
                metadata = None
            if metadata is None:
                write_metadata(folder, cut)

    def _fill(self, cuts: Sequence[Cut], images: ImagesToCache, positions: NDArray[np.int64]) -> int:
        """Compute and write the activations of the images at these positions -> their count."""
        if not len(positions):
            return 0
        buffers = {cut: _RowBuffer() for cut in cuts}
        for computed, of_cuts in images.compute(positions):
            for cut, activations in of_cuts.items():
                rows = as_stored(activations).to("cpu", DTYPES[self.dtype])
                buffers[cut].add(rows, images.digests[computed])
                if buffers[cut].bytes >= SHARD_BYTES:
                    buffers[cut].write(self.folder / cut.key)
        for cut, buffer in buffers.items():
            buffer.write(self.folder / cut.key)
        return len(positions)

    def _make_room(
        self, cuts: Sequence[Cut], images: Mapping[T, ImagesToCache], missing: Mapping[T, NDArray[np.int64]]
    ) -> None:
        """Remove the least recently used rows until the missing ones fit, but none that are needed now."""
        count = sum(map(len, missing.values()))
        wanted = sum(self.needed_bytes(cut, count) for cut in cuts)
        needed = np.concatenate([named.digests for named in images.values()])
        keys = {cut.key for cut in cuts}
        folders = entry_folders(self.folder)
        files = [(path, path.stat()) for folder in folders for path in folder.glob(f"*{cache_shards.SUFFIX}")]
        size = sum(status.st_size for _, status in files)
        for path, status in sorted(files, key=lambda file: file[1].st_mtime):
            if size + wanted <= self.max_bytes:
                break
            if path.parent.name in keys and np.isin(cache_shards.digests(path), needed).any():
                continue
            path.unlink(missing_ok=True)
            size -= status.st_size
            if path.parent.name not in keys and not any(path.parent.glob(f"*{cache_shards.SUFFIX}")):
                self.remove(path.parent.name)

    def _indices(self, cuts: Sequence[Cut]) -> dict[Cut, RowIndex]:
        return {cut: row_index(self.folder / cut.key) for cut in cuts}


class _RowBuffer:
    """Rows that are not on disk yet."""

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

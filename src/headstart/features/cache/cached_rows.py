"""Cached rows of images: lookup by digest, reads by position."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.features.cache import cache_shards
from headstart.features.cache.activation_key import as_served


class CachedRows:
    """The activations of images by their positions; memory-mapped.

    Args:
        shards: Rows of each shard (n, ...).
        shard: Of each image, the shard that has its row (N,).
        row: Of each image, its row in that shard (N,).
    """

    def __init__(self, shards: Sequence[Tensor], shard: NDArray[np.int64], row: NDArray[np.int64]) -> None:
        self._shards = shards
        self._shard, self._row = torch.from_numpy(shard), torch.from_numpy(row)

    @property
    def shape(self) -> tuple[int, ...]:
        """The dimensions of one row."""
        return tuple(self._shards[0].shape[1:])

    def at(self, positions: NDArray[np.int64]) -> Tensor:
        """The activations of the images at these positions (B,): (B, ...), float32."""
        index = torch.from_numpy(positions)
        row = self._row[index]
        if len(self._shards) == 1:
            return as_served(self._shards[0].index_select(0, row))
        shard = self._shard[index]
        rows = torch.empty(len(positions), *self._shards[0].shape[1:], dtype=self._shards[0].dtype)
        for number in torch.unique(shard).tolist():
            of_shard = shard == number
            rows[of_shard] = self._shards[number].index_select(0, row[of_shard])
        return as_served(rows)


class RowIndex(NamedTuple):
    """Where the rows of all shards of a cut lie."""

    shards: list[Tensor]
    digests: NDArray[np.bytes_]  # (M,) of all rows of all shards
    shard: NDArray[np.int64]  # (M,)
    row: NDArray[np.int64]  # (M,)


def row_index(folder: Path) -> RowIndex:
    """The index of all shards in a folder; damaged ones are removed."""
    read = [cache_shards.read(path) for path in sorted(folder.glob(f"*{cache_shards.SUFFIX}"))]
    shards = [shard for shard in read if shard is not None]
    digests = [shard.digests for shard in shards]
    return RowIndex(
        [shard.rows for shard in shards],
        np.concatenate(digests) if digests else np.empty(0, cache_shards.DIGEST),
        np.repeat(np.arange(len(shards)), [len(of_shard) for of_shard in digests]),
        np.concatenate([np.arange(len(of_shard)) for of_shard in digests]) if digests else np.empty(0, np.int64),
    )


def missing_positions(digests: NDArray[np.bytes_], indices: Iterable[RowIndex]) -> NDArray[np.int64]:
    """The positions (n,) of images that one of the indices lacks; of images with the same content the first.

    Args:
        digests: Of the images (N,).
        indices: One of each cut.
    """
    lacking = np.zeros(len(digests), bool)
    for index in indices:
        lacking |= ~np.isin(digests, index.digests)
    _, first = np.unique(digests, return_index=True)
    return np.intersect1d(np.flatnonzero(lacking), first)


def cached_rows(index: RowIndex, digests: NDArray[np.bytes_]) -> CachedRows:
    """The rows of images with these digests (N,), each of which the index has."""
    order = np.argsort(index.digests, kind="stable")
    place = order[np.searchsorted(index.digests, digests, sorter=order)]
    used, shard = np.unique(index.shard[place], return_inverse=True)
    return CachedRows([index.shards[number] for number in used], shard, index.row[place])

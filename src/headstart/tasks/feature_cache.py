"""The task `feature_cache`: list of what the feature cache holds, and removal of parts of it."""

from __future__ import annotations

import logging
import time
from datetime import datetime
from typing import Annotated, Literal

from annotated_types import Ge, Gt
from omegaconf import DictConfig

from headstart.features.cache.activation_cache import FeatureCache
from headstart.features.cache.cache_entries import CacheEntry
from headstart.system import rank_environment
from headstart.system.printing.aligned_columns import aligned
from headstart.types import UserError

log = logging.getLogger(__name__)
UNUSED_DAYS = 30


def feature_cache(
    *,
    cfg: DictConfig,  # noqa: ARG001  # each task gets it
    folder: str,
    max_gib: Annotated[float, Gt(0)],
    dtype: Literal["float32", "float16", "bfloat16"],
    views: Annotated[int, Ge(0)],
    remove: str | None,
) -> list[str]:
    """Print what the cache in the folder holds -> the keys that are left after `remove`.

    Args:
        cfg: The composed config, of which nothing is read.
        folder: The cache's folder.
        max_gib: Its greatest size.
        dtype: Of its features.
        views: Augmented views of each image.
        remove: None, all, unused (for 30 days), or the first letters of a key.

    Raises:
        UserError: No key begins with `remove`.
    """
    cache = FeatureCache(folder=folder, max_gib=max_gib, dtype=dtype, views=views)
    entries = cache.entries()
    going = _chosen(entries, remove)
    if rank_environment.rank() == 0:
        for entry in going:
            cache.remove(entry.key)
    left = [entry for entry in entries if entry not in going]
    print(_table(left))
    freed = f", {_size(sum(entry.bytes for entry in going))} removed" if remove else ""
    print(f"{cache.folder}: {_size(sum(entry.bytes for entry in left))} of {max_gib:g} GiB{freed}")
    return [entry.key for entry in left]


def _chosen(entries: list[CacheEntry], remove: str | None) -> list[CacheEntry]:
    if remove is None:
        return []
    if remove == "all":
        return entries
    if remove == "unused":
        return [entry for entry in entries if entry.used < time.time() - UNUSED_DAYS * 24 * 3600]
    matching = [entry for entry in entries if entry.key.startswith(remove)]
    if not matching:
        raise UserError(
            f"feature_cache.remove is all, unused or the beginning of a key, got {remove!r}; the keys are "
            f"{', '.join(entry.key for entry in entries) or 'none: the cache is empty'}"
        )
    return matching


def _table(entries: list[CacheEntry]) -> str:
    rows = [("key", "after", "one image", "type", "images", "size", "last used")]
    for entry in entries:
        after = f"{entry.stages[-1] if entry.stages else '?'}{', pooled' if entry.pooled else ''}"
        used = datetime.fromtimestamp(entry.used).isoformat(" ", "minutes")
        shape = "x".join(map(str, entry.shape))
        rows.append((entry.key, after, shape, entry.dtype, str(entry.images), _size(entry.bytes), used))
    return "\n".join(aligned(rows))


def _size(count: int) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"

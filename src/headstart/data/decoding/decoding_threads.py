"""Images read and decoded by several threads at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")
Result = TypeVar("Result")


def by_threads(make: Callable[[T], Result], items: Sequence[T]) -> list[Result]:
    """What `make` gives for each item, in their order; as many threads as torch computes with.

    Reading, decoding and hashing let other threads work.
    """
    threads = min(torch.get_num_threads(), len(items))
    if threads < 2:
        return [make(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(make, items))

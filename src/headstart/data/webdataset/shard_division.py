"""Division of the shards of a WebDataset, and of the images in them, into splits and workers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headstart.data.splits.class_division import cut_off, shuffled
from headstart.data.webdataset.shard_samples import SampleLabel
from headstart.types import SPLITS, UserError

ShardPlaces = list[tuple[int, int, SampleLabel]]  # of images: shard, number in it, key and class


def divided_shards(
    given: dict[str, tuple[str, ...]], *, val_share: float, test_share: float, seed: int
) -> dict[str, tuple[str, ...]]:
    """The shards of train, val and test; none for test where it is half of val's images.

    Numbers of shards are drawn, so that it does not matter where the shards lie.

    Args:
        given: Split -> the URLs of its own shards, none where it is drawn from train.
        val_share: Share of the shards of train that becomes val.
        test_share: The same of test.
        seed: Of val's draw; test is the same for every seed.

    Raises UserError where too few are left.
    """
    urls, val, test = (given[split] for split in SPLITS)
    left = [f"{number:09}" for number in range(len(urls))]
    taken: dict[str, list[str]] = {"val": [], "test": []}
    if not test and not val:
        left, taken["test"] = cut_off(shuffled(left, "test"), test_share, len(urls))
    if not val:
        left, taken["val"] = cut_off(shuffled(left, f"seed {seed}"), val_share, len(urls))
    if not left or not (val or taken["val"]):
        raise UserError(
            f"val and test take whole shards of train, and one must be left: {len(urls)} are too few; set val_urls and "
            "test_urls, or write more and smaller shards"
        )
    named = {split: tuple(urls[int(number)] for number in sorted(of)) for split, of in taken.items()}
    return {
        "train": tuple(urls[int(number)] for number in sorted(left)),
        "val": val or named["val"],
        "test": test or named["test"],
    }


def halves(places: ShardPlaces) -> tuple[ShardPlaces, ShardPlaces]:
    """Each class's images in two parts, the same for every seed; the second has the larger half."""
    of_class: dict[str, list[str]] = {}
    by_name = {f"{shard:09}/{number:09}": (shard, number, label) for shard, number, label in places}
    for name, (_, _, label) in by_name.items():
        of_class.setdefault(label.word, []).append(name)
    second = {name for names in of_class.values() for name in cut_off(shuffled(names, "test"), 0.5, len(names))[1]}
    return [by_name[name] for name in by_name if name not in second], [
        by_name[name] for name in by_name if name in second
    ]


def by_workers(positions: NDArray[np.int64], batch_size: int, workers: int) -> NDArray[np.int64]:
    """The same positions in an order of which each worker, who gets every so many-th batch, gets a part that rises.

    The smaller last batch stays the last.
    """
    batches = [positions[begin : begin + batch_size] for begin in range(0, len(positions), batch_size)]
    workers = min(workers, len(batches))
    if workers < 2:
        return positions
    least, more = divmod(len(batches), workers)
    last = (more - 1) % workers  # who gets the last batch
    of_worker: dict[int, list[NDArray[np.int64]]] = {}
    begin = 0
    for worker in [*(worker for worker in range(workers) if worker != last), last]:
        end = begin + least + (worker < more)
        of_worker[worker], begin = batches[begin:end], end
    turns = [(turn, worker) for turn in range(least + 1) for worker in range(workers)]
    return np.concatenate([of_worker[worker][turn] for turn, worker in turns if turn < len(of_worker[worker])])

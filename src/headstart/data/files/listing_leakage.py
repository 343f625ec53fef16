"""Checks of a divided listing of image files: leakage, repeated images, and a table to read before training."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headstart.data.dataset_settings import Leakage
from headstart.data.datasets.labelled_split import Labels
from headstart.data.decoding.decoding_threads import by_threads
from headstart.data.decoding.file_listing import LeftOut
from headstart.data.decoding.image_file_summary import COLUMNS, Header, table
from headstart.data.files.duplicate_files import Duplicate, checked_leakage, tell_left_out, tell_near, tell_repeated
from headstart.data.files.file_split import FileSplit
from headstart.data.files.listing_copies import ListingCopies
from headstart.data.splits.image_groups import Groups, check_groups, group_counts

if TYPE_CHECKING:
    from headstart.data.splits.near_duplicates import NearPair

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ListingFacts:
    """What messages about a listing say of it.

    Args:
        root: The folder of the files.
        class_names: Names of the classes.
        groups: File -> its group; None where there are none.
        outside: What lies in the folder and is not read.
        left_out: Number of unreadable files that are left out.
        regression: Whether labels are numbers, and class_names their columns.
    """

    root: Path
    class_names: tuple[str, ...]
    groups: Groups | None
    outside: LeftOut
    left_out: int
    regression: bool = False


def check_listing(
    splits: Mapping[str, FileSplit],
    headers: Mapping[str, Header],
    facts: ListingFacts,
    copies: ListingCopies,
    *,
    leakage: Leakage,
) -> list[Duplicate]:
    """The pictures that lie in two splits, saved again, where they are looked for; logs what there is.

    Args:
        splits: Split -> its images.
        headers: File -> what it says of its image.
        facts: What messages say of the listing.
        copies: The files of the same bytes.
        leakage: As FileSettings says.

    Raises UserError where an image, or a group of images, lies in two splits.
    """
    names = {split: files.names for split, files in splits.items()}
    same = copies.within(names)
    _log_table(splits, headers, facts, same)
    tell_repeated(same)
    tell_left_out(copies.records(names))
    apart = [group for group in same if len({split for split, _ in group}) > 1]
    checked_leakage(apart, leakage=leakage, label=copies.label)
    if facts.groups is not None:
        check_groups(names, facts.groups, leakage=leakage)
    if leakage != "near" or len(splits) == 1:
        return []
    near = _near_pairs(splits, headers, {name: group[0][1] for group in same for _, name in group})
    records = [
        Duplicate(len(copies.groups) + number, "near", split, name, copies.label[name], difference)
        for number, pair in enumerate(near, start=1)
        for split, name, difference in (
            (pair.split, pair.name, 0.0), (pair.other_split, pair.other, round(pair.difference, 2)),
        )
    ]  # fmt: skip
    tell_near(records)
    return records


def _log_table(
    splits: Mapping[str, FileSplit],
    headers: Mapping[str, Header],
    facts: ListingFacts,
    same: list[list[tuple[str, str]]],
) -> None:
    names = {split: files.names for split, files in splits.items()}
    inside = [Counter(split for split, _ in group) for group in same]
    classes = facts.class_names
    counts = {
        split: _number_ranges(files.label, classes)
        if facts.regression
        else dict(zip(classes, class_counts(files.label, len(classes)).tolist(), strict=True))
        for split, files in splits.items()
    }
    text = table(
        counts,
        [headers[name] for of_split in names.values() for name in of_split],
        repeated=sum(count - 1 for group in inside for count in group.values()),
        left_out=facts.left_out,
        sizes={split: len(of_split) for split, of_split in names.items()},
        groups=None if facts.groups is None else group_counts(names, facts.groups),
    )
    log.info("%s\n%s", facts.root, text)
    facts.outside.log(log, facts.root)


def label_texts(names: Sequence[str], label: Labels, class_names: tuple[str, ...]) -> Iterable[tuple[str, str]]:
    """Each file with its class, or its classes with | between them.

    Args:
        names: Files (N,).
        label: Their labels (N,), or of several labels (N, classes).
        class_names: Names of the classes.
    """
    for name, of_file in zip(names, label, strict=True):
        numbers = np.flatnonzero(of_file).tolist() if of_file.ndim else [int(of_file)]
        yield name, "|".join(class_names[number] for number in numbers)


def _number_ranges(label: Labels, columns: tuple[str, ...]) -> dict[str, str]:
    """Of the first columns of numbers the least, the mean and the largest, as text."""
    first = columns[:COLUMNS]
    if not len(label):
        return dict.fromkeys(first, "-")
    parts = zip(first, label.min(axis=0), label.mean(axis=0, dtype=np.float64), label.max(axis=0), strict=False)
    return {name: f"{low:.4g} to {high:.4g}, mean {mean:.4g}" for name, low, mean, high in parts}


def _near_pairs(
    splits: Mapping[str, FileSplit], headers: Mapping[str, Header], image_of: Mapping[str, str]
) -> list[NearPair]:
    """Pictures that lie in two splits, saved at another size or quality."""
    from headstart.data.splits.near_duplicates import SIDE, SMALLEST, near_duplicates  # here: it needs scipy

    large = {
        split: [name for name in files.names if min(headers[name].width, headers[name].height) >= SMALLEST]
        for split, files in splits.items()
    }
    if small := sum(len(files.names) for files in splits.values()) - sum(map(len, large.values())):
        log.info("%d images with a side below %d pixels are not looked for saved again", small, SMALLEST)
    first = next(iter(splits.values()))
    storage, decoder = first.storage, first.decoder
    grey = replace(decoder, size=SIDE, resize=SIDE, channels=1, reduced=True, interpolation="bilinear")
    colour = replace(grey, channels=3)
    return near_duplicates(
        large,
        copies=image_of,
        grey=lambda files: np.stack(by_threads(lambda name: storage.decoded(name, grey), files)),
        colour=lambda name: storage.decoded(name, colour),
    )


def class_counts(label: Labels, classes: int) -> NDArray[np.int64]:
    """How many images each class has (classes,)."""
    counts = np.bincount(label, minlength=classes) if label.ndim == 1 else label.sum(axis=0)
    return counts.astype(np.int64)

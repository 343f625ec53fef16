"""Checks of a divided listing of image files: leakage, repeated images, and a table to read before training."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from headstart.data.datasets.labelled_split import Labels
from headstart.data.decoding.decoding_threads import by_threads
from headstart.data.decoding.file_checks import (
    Duplicate,
    Header,
    checked_leakage,
    copies_of,
    duplicates,
    table,
    tell_near,
    tell_repeated,
    tell_two_labels,
)
from headstart.data.decoding.file_listing import LeftOut
from headstart.data.files.file_split import FileSplit
from headstart.data.splits.class_division import Copies
from headstart.data.splits.image_groups import Groups, check_groups, group_counts

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
    """

    root: Path
    class_names: tuple[str, ...]
    groups: Groups | None
    outside: LeftOut
    left_out: int


def check_listing(
    splits: Mapping[str, FileSplit],
    headers: Mapping[str, Header],
    facts: ListingFacts,
    *,
    leakage: Literal["error", "allow", "near"],
) -> list[Duplicate]:
    """The images that are there twice; logs what there is.

    Args:
        splits: Split -> its images.
        headers: File -> what it says of its image.
        facts: What messages say of the listing.
        leakage: As FileSettings says.

    Raises UserError where an image, or a group of images, lies in two splits.
    """
    names = {split: files.names for split, files in splits.items()}
    label = {name: text for files in splits.values() for name, text in _label_texts(files, facts.class_names)}
    same = duplicates(names, headers, next(iter(splits.values())).digests_of)
    _log_table(splits, headers, facts, same)
    copies = copies_of(same, label)
    tell_repeated(copies)
    tell_two_labels(copies)
    apart = [group for group in same if len({split for split, _ in group}) > 1]
    checked_leakage(apart, leakage=leakage, label=label)
    if facts.groups is not None:
        check_groups(names, facts.groups, leakage=leakage)
    if leakage == "near" and len(splits) > 1:
        near = _near_pairs(splits, headers, {name: group[0][1] for group in same for _, name in group}, label)
        tell_near(near)
        copies += near
    return copies


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
        split: dict(zip(classes, class_counts(files.label, len(classes)).tolist(), strict=True))
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


def _label_texts(files: FileSplit, class_names: tuple[str, ...]) -> Iterable[tuple[str, str]]:
    """Each file with its class, or its classes with | between them."""
    for name, label in zip(files.names, files.label, strict=True):
        numbers = np.flatnonzero(label).tolist() if label.ndim else [int(label)]
        yield name, "|".join(class_names[number] for number in numbers)


def _near_pairs(
    splits: Mapping[str, FileSplit], headers: Mapping[str, Header], copies: Copies, label: Mapping[str, str]
) -> list[Duplicate]:
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
    pairs = near_duplicates(
        large,
        copies=copies,
        grey=lambda files: np.stack(by_threads(lambda name: storage.decoded(name, grey), files)),
        colour=lambda name: storage.decoded(name, colour),
    )
    return [
        Duplicate(
            "near", pair.split, pair.name, label[pair.name], pair.other_split, pair.other, label[pair.other],
            round(pair.difference, 2),
        )
        for pair in pairs
    ]  # fmt: skip


def class_counts(label: Labels, classes: int) -> NDArray[np.int64]:
    """How many images each class has (classes,)."""
    counts = np.bincount(label, minlength=classes) if label.ndim == 1 else label.sum(axis=0)
    return counts.astype(np.int64)

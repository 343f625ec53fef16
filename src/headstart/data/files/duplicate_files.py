"""Files of the same bytes in a listing: found, told, refused where they lie in two splits."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from headstart.data.dataset_settings import Leakage
from headstart.data.decoding.image_file_summary import Header
from headstart.system.printing.name_listing import first_few
from headstart.types import UserError

Place = tuple[str, str]  # split, file
LEFT_OUT = "left out"  # in the place of a split: of a file whose image another file stands for, or that has two labels

log = logging.getLogger(__name__)


class Duplicate(NamedTuple):
    """One file of a group of files that hold the same image.

    Attributes:
        group: Number of the group, from 1.
        kind: `copy` where all files hold the same bytes, `near` where they are the same picture, saved again.
        split: Where the run has the file; `left out` where another one of the group stands for it or labels differ,
            empty where it is not among the images that the run draws.
        file: Its path.
        label: Its class, or its classes with | between them.
        difference: Mean absolute difference of its pixels from those of the group's first file, of 255.
    """

    group: int
    kind: Literal["copy", "near"]
    split: str
    file: str
    label: str
    difference: float


def duplicates(
    splits: Mapping[str, Sequence[str]], headers: Mapping[str, Header], digest: Callable[[list[str]], list[str]]
) -> list[list[Place]]:
    """Groups of (split, file) whose files hold the same bytes.

    Args:
        splits: Split -> its files.
        headers: File -> what it says of its image.
        digest: Files -> what tells their bytes apart; asked only for files that have their size and their header in
            common with another one.
    """
    alike: dict[Header, list[Place]] = defaultdict(list)
    for split, names in splits.items():
        for name in names:
            alike[headers[name]].append((split, name))
    suspects = [file for group in alike.values() if len(group) > 1 for file in group]
    same: dict[str, list[Place]] = defaultdict(list)
    for file, content in zip(suspects, digest([name for _, name in suspects]), strict=True):
        same[content].append(file)
    return [group for group in same.values() if len(group) > 1]


def with_two_labels(groups: Iterable[Sequence[Place]], label: Mapping[str, str]) -> list[list[Place]]:
    """The groups whose files have different labels.

    Args:
        groups: Groups of (split, file) with the same bytes.
        label: File -> its label.
    """
    return [list(group) for group in groups if len({label[name] for _, name in group}) > 1]


def check_two_labels(
    conflicting: Sequence[Sequence[Place]],
    label: Mapping[str, str],
    *,
    conflicting_labels: Literal["keep", "drop", "error"],
) -> None:
    """Warn of files that have the same bytes and different labels, or raise UserError.

    Args:
        conflicting: Groups of (split, file) whose labels differ.
        label: File -> its label.
        conflicting_labels: As FileSettings says.
    """
    if not conflicting:
        return
    texts = [
        " = ".join(f"{name} ({label[name]})" for name in dict.fromkeys(name for _, name in group))
        for group in conflicting
    ]
    told = f"{len(conflicting)} images have the same bytes and two labels, so that no model is right about both"
    if conflicting_labels == "error":
        raise UserError(
            f"{told}: {first_few(texts)}; take the wrong files away, or leave all of them out with "
            "target.conflicting_labels=drop"
        )
    if conflicting_labels == "drop":
        log.warning("%s; all their files are left out: %s", told, first_few(texts))
    else:
        log.warning(
            "%s: %s; take the wrong files away, or leave all of them out with target.conflicting_labels=drop",
            told, first_few(texts),
        )  # fmt: skip


def tell_repeated(groups: Iterable[Sequence[Place]]) -> None:
    """Log the files that their own split holds already."""
    inside = []
    for group in groups:
        first: dict[str, str] = {}  # split -> its first file
        for split, name in group:
            if first.setdefault(split, name) != name:
                inside.append(f"{first[split]} = {name}")
    if inside:
        log.info("repeated inside a split: %s", first_few(inside))


def tell_left_out(records: Sequence[Duplicate]) -> None:
    """Warn of files that are left out, each with the file that stands for it."""
    partners = {duplicate.group: duplicate for duplicate in reversed(records) if duplicate.split not in (LEFT_OUT, "")}
    pairs = [
        f"{duplicate.file} = {partners[duplicate.group].file} ({partners[duplicate.group].split})"
        for duplicate in records
        if duplicate.split == LEFT_OUT and duplicate.group in partners
    ]
    if pairs:
        log.warning(
            "%d files are left out, as the run has the same image in another file: %s; target.leakage=error stops "
            "here, allow keeps them", len(pairs), first_few(pairs),
        )  # fmt: skip


def tell_near(records: Sequence[Duplicate]) -> None:
    """Warn of pictures that lie in two splits, saved at another size or quality."""
    pairs: dict[int, list[str]] = defaultdict(list)
    for duplicate in records:
        pairs[duplicate.group].append(f"{duplicate.file} ({duplicate.split})")
    if pairs:
        log.warning(
            "%d pairs of images in different splits show the same picture at another size or quality, so that val or "
            "test measures what was learnt by heart: %s",
            len(pairs), first_few([" ~ ".join(pair) for pair in pairs.values()]),
        )  # fmt: skip


def checked_leakage(
    groups: Iterable[Sequence[Place]], *, leakage: Leakage, label: Mapping[str, str] | None = None
) -> None:
    """Raise UserError with the pairs where the same image lies in two splits; a warning where that is allowed.

    Args:
        groups: Groups of (split, file) with the same bytes.
        leakage: `allow` warns, the others raise.
        label: File -> its class, which the message has where the two of a pair differ.
    """
    pairs = []
    for group in groups:
        first: dict[str, str] = {}  # split -> its first file
        for split, name in group:
            first.setdefault(split, name)
        first_file, *others = first.items()
        for other in others:
            labels = [label[name] for _, name in (first_file, other)] if label else []
            texts = [
                f"{name} ({split}{f', {labels[at]}' if len(set(labels)) > 1 else ''})"
                for at, (split, name) in enumerate((first_file, other))
            ]
            pairs.append(" = ".join(texts))
    if not pairs:
        return
    told_all = f"{len(pairs)} images lie in two splits, so that val or test measures what was learnt by heart"
    if leakage != "allow":
        raise UserError(
            f"{told_all}: {first_few(pairs)}; take one file of each pair away, leave them out of training with "
            "target.leakage=together, or go on all the same with target.leakage=allow"
        )
    log.warning("%s: %s", told_all, first_few(pairs))

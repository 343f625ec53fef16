"""Division of the images of a class into training, validation and test images."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import TypeVar

from headstart.data.dataset_settings import SplitSettings
from headstart.data.splits.image_copies import NO_COPIES, ByClass, Copies, classes_together, without_crossing
from headstart.system.printing.name_listing import first_few
from headstart.types import SPLITS, UserError

Listed = Mapping[str, Mapping[str, Sequence[str]]]  # split -> class -> files

log = logging.getLogger(__name__)
T = TypeVar("T")


def divided(
    name: str, listed: Mapping[str, Sequence[str]], settings: SplitSettings, *, copies: Copies = NO_COPIES
) -> dict[str, list[str]]:
    """The files of one class for train, val and test, each sorted, as divided_classes divides them.

    Args:
        name: The class, for messages.
        listed: Split -> its files; `train` at least.
        settings: Shares, shots, folds and seed.
        copies: Which files are copies of one image.

    Raises UserError as divided_classes does.
    """
    return divided_classes({split: {name: files} for split, files in listed.items()}, settings, copies=copies)[0]


def divided_classes(
    listed: Listed, settings: SplitSettings, *, copies: Copies = NO_COPIES
) -> list[dict[str, list[str]]]:
    """Of each class its files for train, val and test, each sorted.

    Missing test files are half of the val files, or where those are missing too, test_share of the train files: the
    same for every seed. Missing val files are val_share of the train files, by the seed. Of a class with one or two
    images, train has the first and test the second. With a fold, what is not for the test, val files too, is dealt out
    by the seed into equal parts, one of which is val. The rest is as chosen_files says.

    Args:
        listed: Split -> class -> files; `train` at least.
        settings: Shares, shots, folds and seed.
        copies: Which files are copies of one image. What is cut off or left keeps them together, with the first of
            them by name.

    Raises UserError where a split would have too few, and as checked_labels does.
    """
    check_split_settings(settings)
    class_names = list(listed["train"])
    counts = [{split: len(listed.get(split, {}).get(name, ())) for split in SPLITS} for name in class_names]
    parts = _cut_classes(listed, settings, copies)
    class_of = {file: name for part in parts.values() for name, files in part.items() for file in files}
    splits = without_crossing(
        {split: [file for files in part.values() for file in files] for split, part in parts.items()}, copies
    )
    return chosen_classes(class_names, splits, class_of, settings, listed_counts=counts)


def _cut_classes(listed: Listed, settings: SplitSettings, copies: Copies) -> dict[str, ByClass]:
    """Train, val and test before any image is chosen: class -> files of each."""
    train, val, test = listed["train"], listed.get("val"), listed.get("test")
    whole = train
    key = f"seed {settings['seed']}"

    def cut(files: ByClass, share: float, of: ByClass, order: str, spared: int) -> list[dict[str, list[str]]]:
        parts = {name: cut_off(shuffled(names, order), share, len(of[name]), spared) for name, names in files.items()}
        split = [{name: part[number] for name, part in parts.items()} for number in (0, 1)]
        return classes_together(split, copies, keeps_first=spared > 0)

    if test is None and val is not None:
        val, test = cut(val, 0.5, val, "test", 0)
    elif test is None:
        train, test = cut(train, settings["test_share"], whole, "test", 1)
    if settings["fold"] is not None:
        pool = {name: shuffled([*names, *(val or {}).get(name, ())], key) for name, names in train.items()}
        parts = {name: without_fold(names, settings["fold"], settings["folds"]) for name, names in pool.items()}
        train, val = classes_together(
            [{name: part[number] for name, part in parts.items()} for number in (0, 1)], copies
        )
    elif val is None:
        train, val = cut(train, settings["val_share"], whole, key, 1)
    return {"train": train, "val": val or {}, "test": test or {}}


def chosen_classes(
    class_names: Sequence[str],
    splits: Mapping[str, Sequence[str]],
    class_of: Mapping[str, str],
    settings: SplitSettings,
    *,
    listed_counts: Sequence[Mapping[str, int]],
    groups: Sequence[int] | None = None,
) -> list[dict[str, list[str]]]:
    """Of each class what a run reads of its files, as chosen_files says; a class that val or test lacks is a warning.

    Args:
        class_names: The classes.
        splits: Split -> files of all classes.
        class_of: File -> its class.
        settings: Shots, fraction and seed.
        listed_counts: Of each class how many files it came with, by split.
        groups: Of each class how many groups they form.

    Raises UserError as chosen_files does.
    """
    of_class: dict[str, dict[str, list[str]]] = {name: {split: [] for split in SPLITS} for name in class_names}
    for split, files in splits.items():
        for file in files:
            of_class[class_of[file]][split].append(file)
    needed = [split for split in SPLITS[1:] if split == "test" or settings["val_shots"] != 0]
    empty = [split for split in needed if not splits[split]]
    chosen = [
        chosen_files(
            name, of_class[name], settings,
            listed_counts=listed_counts[at], groups=None if groups is None else groups[at], needed=empty,
        )
        for at, name in enumerate(class_names)
    ]  # fmt: skip
    for split in needed:
        if lacking := [
            f"{name} ({sum(listed_counts[at].values())})"
            for at, name in enumerate(class_names)
            if not chosen[at][split]
        ]:
            log.warning(
                "%s has no image of %d classes, which have too few images or groups for all splits, so that it does "
                "not measure whether these are recognised: %s", split, len(lacking), first_few(lacking),
            )  # fmt: skip
    return chosen


def chosen_files(
    name: str,
    divided: Mapping[str, list[str]],
    settings: SplitSettings,
    *,
    listed_counts: Mapping[str, int],
    groups: int | None = None,
    needed: Collection[str] = (),
) -> dict[str, list[str]]:
    """What a run reads of one class's files, which are divided into train, val and test; each sorted.

    Of the training files so many as `shots` says, by the seed (5 shots of a seed are among its 10), or the share that
    `fraction` says, one image at least. The same of val by val_shots (2 of a seed are among its 5, 0 leaves val empty);
    the others are in no split.

    Args:
        name: The class, for messages.
        divided: Split -> its files.
        settings: Shots, fraction and seed.
        listed_counts: How many files the class came with, by split, for the message.
        groups: How many groups they form, for the message.
        needed: Splits beside train that must have an image of it.

    Raises UserError where a split would have too few.
    """
    shots, val_shots, fraction, seed = (
        settings["shots"],
        settings["val_shots"],
        settings["fraction"],
        settings["seed"],
    )
    train, val, test = (divided[split] for split in SPLITS)
    chosen = max(1, round(fraction * len(train))) if fraction is not None else shots
    least = {"train": shots or 1, "val": max(val_shots or 0, int("val" in needed)), "test": int("test" in needed)}
    if any(len(divided[split]) < count for split, count in least.items()):
        counts = ", ".join(f"{count} in {split}" for split, count in listed_counts.items() if count)
        counts += f", in {groups} groups that must each stay in one split" if groups is not None and counts else ""
        hint = ", take fewer shots" if shots else ""
        hint += f", take fewer val_shots ({len(val)} at most)" if val_shots and len(val) < val_shots else ""
        hint += ", take fewer folds" if settings["fold"] is not None else ""
        raise UserError(
            f"class {name} has too few images: {counts or 'none'}; that would be {len(train)} to train on, "
            f"{len(val)} for val, {len(test)} for test, where {least['train']}, {least['val']} and {least['test']} "
            f"are needed; add images{hint} or take the class folder away"
        )
    if val_shots is not None:
        val = shuffled(val, f"val, seed {seed}")[:val_shots]
    return {"train": sorted(shuffled(train, f"seed {seed}")[:chosen]), "val": sorted(val), "test": sorted(test)}


def drawn(
    listed: Mapping[str, list[str]],
    cut: Callable[[list[str], Sequence[float], str, Sequence[int]], list[list[str]]],
    settings: SplitSettings,
) -> dict[str, list[str]]:
    """Files of all classes together for train, val and test: what is missing is cut off, as `divided` says.

    Args:
        listed: Split -> its files; `train` at least.
        cut: Files, shares, a key, and how many groups of a class each part needs (two where it will be cut again) ->
            a part for each share.
        settings: Shares, folds and seed.
    """
    fold, folds, test_share = settings["fold"], settings["folds"], settings["test_share"]
    train, val, test = listed["train"], listed.get("val"), listed.get("test")
    whole, key = len(train), f"seed {settings['seed']}"
    if test is None and val is not None:
        val, test = cut(val, (0.5, 0.5), "test", (1, 1))
    elif test is None:
        train, test = cut(
            train, (1 - test_share, test_share), "test", (1 if val is not None and fold is None else 2, 1)
        )
    if fold is not None:
        parts = cut([*train, *(val or ())], (1 / folds,) * folds, key, (1,) * folds)
        val = parts.pop(fold)
        train = [name for part in parts for name in part]
    elif val is None:
        share = min(1.0, settings["val_share"] * whole / max(len(train), 1))
        train, val = cut(train, (1 - share, share), key, (1, 1))
    return {"train": train, "val": val or [], "test": test or []}


def check_split_settings(settings: SplitSettings) -> None:
    """Raise UserError where shots, fraction, fold, folds and val_shots are out of range or do not go together."""
    checked_labels(
        shots=settings["shots"],
        fraction=settings["fraction"],
        fold=settings["fold"],
        folds=settings["folds"],
        val_shots=settings["val_shots"],
    )


def checked_labels(
    *, shots: int | None, fraction: float | None, fold: int | None, folds: int, val_shots: int | None = None
) -> None:
    """Raises UserError where shots, fraction, fold, folds and val_shots are out of range or do not go together."""
    if val_shots is not None and val_shots < 0:
        raise UserError(f"val_shots must be 0 at least, or null for all that are left, got {val_shots}")
    if val_shots is not None and fold is not None:
        raise UserError(
            f"with fold, val is that whole part of the images, got fold={fold} and val_shots={val_shots}; "
            "leave one of them null"
        )
    if shots is not None and shots < 1:
        raise UserError(f"shots must be 1 at least, or null for all, got {shots}")
    if fraction is not None and not 0 < fraction <= 1:
        raise UserError(f"fraction must be above 0 and at most 1, or null for all, got {fraction}; try fraction=0.1")
    if shots is not None and fraction is not None:
        raise UserError(
            f"shots and fraction both say how many images to train on, got shots={shots} and fraction={fraction}; "
            "leave one of them null"
        )
    if folds < 2:  # one part for val, and one to train on
        raise UserError(f"folds must be 2 at least, got {folds}; try folds=5")
    if fold is not None and not 0 <= fold < folds:
        raise UserError(
            f"fold must be between 0 and {folds - 1}, as there are {folds} folds, or null for none, got {fold}; "
            f"try fold={folds - 1} or folds={max(fold + 1, 2)}"
        )


def shuffled(names: Iterable[str], key: str) -> list[str]:
    """Sorted by the hash of key and name: an order that no version of a library and no other file can change."""
    return sorted(names, key=lambda name: sha256(f"{key}/{name}".encode()).digest())


def cut_off(names: list[str], share: float, whole: int, spared: int = 0) -> tuple[list[str], list[str]]:
    """What is left, and a share of the whole from the end, one at least; but so many as are spared are left."""
    keep = max(min(spared, len(names)), len(names) - max(1, round(share * whole)))
    return names[:keep], names[keep:]


def without_fold(names: list[T], fold: int, folds: int) -> tuple[list[T], list[T]]:
    """What is left, and this fold: parts of the names whose sizes differ by one at most."""
    begin, end = fold * len(names) // folds, (fold + 1) * len(names) // folds
    return names[:begin] + names[end:], names[begin:end]

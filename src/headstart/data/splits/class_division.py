"""Division of the images of a class into training, validation and test images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from types import MappingProxyType
from typing import TypeVar

from headstart.data.dataset_settings import SplitSettings
from headstart.types import SPLITS, UserError

Copies = Mapping[str, str]  # file -> which image it is, of files of which there are several copies
NO_COPIES: Copies = MappingProxyType({})

T = TypeVar("T")


def divided(
    name: str, given: Mapping[str, list[str]], settings: SplitSettings, *, copies: Copies = NO_COPIES
) -> dict[str, list[str]]:
    """The files of one class for train, val and test, each sorted.

    Missing test files are half of the val files, or where those are missing too, test_share of the train files: the
    same for every seed. Missing val files are val_share of the train files, by the seed. With a fold, what is not for
    the test, val files too, is dealt out by the seed into equal parts, one of which is val. The rest is as chosen_files
    says.

    Args:
        name: The class, for messages.
        given: Split -> its files; `train` at least.
        settings: Shares, shots, folds and seed.
        copies: Which files are copies of one image. What is cut off or left keeps them together, with the first of
            them by name.

    Raises UserError where a split would have too few, and as checked_labels does.
    """
    check_split_settings(settings)
    counts = {split: len(given.get(split, ())) for split in SPLITS}
    train, val, test = given["train"], given.get("val"), given.get("test")
    key = f"seed {settings['seed']}"
    if test is None and val is not None:
        val, test = together(cut_off(shuffled(val, "test"), 0.5, len(val)), copies)
    elif test is None:
        train, test = together(cut_off(shuffled(train, "test"), settings["test_share"], counts["train"]), copies)
    if settings["fold"] is not None:
        pool = shuffled([*train, *(val or ())], key)
        train, val = together(without_fold(pool, settings["fold"], settings["folds"]), copies)
    elif val is None:
        train, val = together(cut_off(shuffled(train, key), settings["val_share"], counts["train"]), copies)
    return chosen_files(name, {"train": train, "val": val or [], "test": test or []}, settings, given=counts)


def chosen_files(
    name: str,
    divided: Mapping[str, list[str]],
    settings: SplitSettings,
    *,
    given: Mapping[str, int],
    groups: int | None = None,
) -> dict[str, list[str]]:
    """What a run reads of one class's files, which are divided into train, val and test; each sorted.

    Of the training files so many as `shots` says, by the seed (5 shots of a seed are among its 10), or the share that
    `fraction` says, one image at least. The same of val by val_shots (2 of a seed are among its 5, 0 leaves val empty);
    the others are in no split.

    Args:
        name: The class, for messages.
        divided: Split -> its files.
        settings: Shots, fraction and seed.
        given: How many files the class came with, by split, for the message.
        groups: How many groups they form, for the message.

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
    needed = {"train": shots or 1, "val": 1 if val_shots is None else val_shots, "test": 1}
    if any(len(divided[split]) < count for split, count in needed.items()):
        there = ", ".join(f"{count} in {split}" for split, count in given.items() if count)
        there += f", in {groups} groups that must each stay in one split" if groups is not None and there else ""
        hint = ", take fewer shots" if shots else ""
        hint += f", take fewer val_shots ({len(val)} at most)" if val_shots and len(val) < val_shots else ""
        hint += ", take fewer folds" if settings["fold"] is not None else ""
        raise UserError(
            f"class {name} has too few images: {there or 'none'}; that would be {len(train)} to train on, "
            f"{len(val)} for val, {len(test)} for test, where {needed['train']}, {needed['val']} and {needed['test']} "
            f"are needed; add images{hint} or take the class folder away"
        )
    if val_shots is not None:
        val = shuffled(val, f"val, seed {seed}")[:val_shots]
    return {"train": sorted(shuffled(train, f"seed {seed}")[:chosen]), "val": sorted(val), "test": sorted(test)}


def together(parts: Sequence[list[str]], copies: Copies) -> list[list[str]]:
    """The same parts, each file in that of the first of its copies, by name, that is in one of them."""
    if not copies:
        return list(parts)
    home: dict[str, int] = {}
    for name, part in sorted((name, part) for part, names in enumerate(parts) for name in names if name in copies):
        home.setdefault(copies[name], part)
    joined: list[list[str]] = [[] for _ in parts]
    for part, names in enumerate(parts):
        for name in names:
            joined[home[copies[name]] if name in copies else part].append(name)
    return joined


def drawn(
    given: Mapping[str, list[str]],
    cut: Callable[[list[str], Sequence[float], str, Sequence[int]], list[list[str]]],
    settings: SplitSettings,
) -> dict[str, list[str]]:
    """Files of all classes together for train, val and test: what is missing is cut off, as `divided` says.

    Args:
        given: Split -> its files; `train` at least.
        cut: Files, shares, a key, and how many groups of a class each part needs (two where it will be cut again) ->
            a part for each share.
        settings: Shares, folds and seed.
    """
    fold, folds, test_share = settings["fold"], settings["folds"], settings["test_share"]
    train, val, test = given["train"], given.get("val"), given.get("test")
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


def cut_off(names: list[str], share: float, whole: int) -> tuple[list[str], list[str]]:
    """What is left, and a share of the whole from the end, one at least."""
    keep = max(0, len(names) - max(1, round(share * whole)))
    return names[:keep], names[keep:]


def without_fold(names: list[T], fold: int, folds: int) -> tuple[list[T], list[T]]:
    """What is left, and this fold: parts of the names whose sizes differ by one at most."""
    begin, end = fold * len(names) // folds, (fold + 1) * len(names) // folds
    return names[:begin] + names[end:], names[begin:end]

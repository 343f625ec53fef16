"""Which images of a class are for training, validation and test?"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import TypeVar

from headstart.types import UserError

T = TypeVar("T")


def divided(
    name: str,
    *,
    train: list[str],
    val: list[str] | None,
    test: list[str] | None,
    val_share: float,
    test_share: float,
    shots: int | None,
    seed: int,
    val_shots: int | None = None,
    fraction: float | None = None,
    fold: int | None = None,
    folds: int = 5,
) -> dict[str, list[str]]:
    """The files of one class for train, val and test, each sorted; None = that split has no files of its own.

    Missing test files are half of the val files, or where those are missing too, test_share of the train files: the
    same for every seed. Missing val files are val_share of the train files, by the seed. fold: what is not for the
    test, val files too, is dealt out by the seed into `folds` equal parts, and this one is val. shots: of what is
    left to train on as many, by the seed; 5 shots of a seed are among its 10. fraction: the same, as a share of what
    is left, one image at least. val_shots: of what would be val as many, by the seed; 2 of a seed are among its 5, 0
    leaves val empty, and the others are in no split.
    Raises UserError where a split would have too few, and as checked_labels does.
    """
    checked_labels(shots=shots, fraction=fraction, fold=fold, folds=folds, val_shots=val_shots)
    given = {"train": len(train), "val": len(val or ()), "test": len(test or ())}
    if test is None and val is not None:
        val, test = _cut(shuffled(val, "test"), 0.5, len(val))
    elif test is None:
        train, test = _cut(shuffled(train, "test"), test_share, given["train"])
    if fold is not None:
        train, val = without_fold(shuffled([*train, *(val or ())], f"seed {seed}"), fold, folds)
    else:
        train = shuffled(train, f"seed {seed}")
        if val is None:
            train, val = _cut(train, val_share, given["train"])
    chosen = max(1, round(fraction * len(train))) if fraction is not None else shots
    needed = {"train": shots or 1, "val": 1 if val_shots is None else val_shots, "test": 1}
    left = {"train": len(train), "val": len(val), "test": len(test)}
    if any(left[split] < count for split, count in needed.items()):
        there = ", ".join(f"{count} in {split}" for split, count in given.items() if count)
        hint = ", take fewer shots" if shots else ""
        hint += f", take fewer val_shots ({len(val)} at most)" if val_shots and len(val) < val_shots else ""
        hint += ", take fewer folds" if fold is not None else ""
        raise UserError(
            f"class {name} has too few images: {there or 'none'}; that would be {len(train)} to train on, "
            f"{len(val)} for val, {len(test)} for test, where {needed['train']}, {needed['val']} and {needed['test']} "
            f"are needed; add images{hint} or take the class folder away"
        )
    if val_shots is not None:
        val = shuffled(val, f"val, seed {seed}")[:val_shots]
    return {"train": sorted(train[:chosen]), "val": sorted(val), "test": sorted(test)}


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
    """Sorted by the hash of key and name: chance that no version of a library and no other file can change."""
    return sorted(names, key=lambda name: sha256(f"{key}/{name}".encode()).digest())


def _cut(names: list[str], share: float, whole: int) -> tuple[list[str], list[str]]:
    """What is left, and a share of the whole from the end, one at least."""
    keep = max(0, len(names) - max(1, round(share * whole)))
    return names[:keep], names[keep:]


def without_fold(names: list[T], fold: int, folds: int) -> tuple[list[T], list[T]]:
    """What is left, and this fold: parts of the names whose sizes differ by one at most."""
    begin, end = fold * len(names) // folds, (fold + 1) * len(names) // folds
    return names[:begin] + names[end:], names[begin:end]

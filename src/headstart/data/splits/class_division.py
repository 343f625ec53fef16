"""Division of the images of a class into training, validation and test images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from types import MappingProxyType
from typing import TypedDict, TypeVar

from headstart.types import SPLITS, UserError

Copies = Mapping[str, str]  # file -> which image it is, of files of which there are several copies
NO_COPIES: Copies = MappingProxyType({})

T = TypeVar("T")


class Division(TypedDict):
    """How images are divided into splits, and which of them a run reads: what `divided` takes besides the files."""

    val_share: float
    test_share: float
    shots: int | None
    val_shots: int | None
    seed: int
    fraction: float | None
    fold: int | None
    folds: int


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
    copies: Copies = NO_COPIES,
) -> dict[str, list[str]]:
    """The files of one class for train, val and test, each sorted; None = that split has no files of its own.

    Missing test files are half of the val files, or where those are missing too, test_share of the train files: the
    same for every seed. Missing val files are val_share of the train files, by the seed. fold: what is not for the
    test, val files too, is dealt out by the seed into `folds` equal parts, and this one is val. copies: which files
    are copies of one image; what is cut off or left keeps them together, with the first of them by name. The rest is
    as chosen_files says. Raises UserError where a split would have too few, and as checked_labels does.
    """
    checked_labels(shots=shots, fraction=fraction, fold=fold, folds=folds, val_shots=val_shots)
    given = {"train": len(train), "val": len(val or ()), "test": len(test or ())}
    if test is None and val is not None:
        val, test = together(_cut(shuffled(val, "test"), 0.5, len(val)), copies)
    elif test is None:
        train, test = together(_cut(shuffled(train, "test"), test_share, given["train"]), copies)
    if fold is not None:
        pool = shuffled([*train, *(val or ())], f"seed {seed}")
        train, val = together(without_fold(pool, fold, folds), copies)
    elif val is None:
        train, val = together(_cut(shuffled(train, f"seed {seed}"), val_share, given["train"]), copies)
    found = {"train": train, "val": val or [], "test": test or []}
    return chosen_files(
        name, found, given=given, shots=shots, val_shots=val_shots, fraction=fraction, fold=fold, seed=seed
    )


def chosen_files(
    name: str,
    divided: Mapping[str, list[str]],
    *,
    given: Mapping[str, int],
    shots: int | None,
    val_shots: int | None,
    fraction: float | None,
    fold: int | None,
    seed: int,
    groups: int | None = None,
) -> dict[str, list[str]]:
    """What a run reads of one class's files, which are divided into train, val and test; each sorted.

    shots: of those for training as many, by the seed; 5 shots of a seed are among its 10. fraction: the same, as a
    share of them, one image at least. val_shots: the same of val; 2 of a seed are among its 5, 0 leaves val empty, and
    the others are in no split. given: the files that the class came with, groups: how many groups they form, for the
    message. Raises UserError where a split would have too few.
    """
    train, val, test = (divided[split] for split in SPLITS)
    chosen = max(1, round(fraction * len(train))) if fraction is not None else shots
    needed = {"train": shots or 1, "val": 1 if val_shots is None else val_shots, "test": 1}
    if any(len(divided[split]) < count for split, count in needed.items()):
        there = ", ".join(f"{count} in {split}" for split, count in given.items() if count)
        there += f", in {groups} groups that must each stay in one split" if groups is not None and there else ""
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
    return {"train": sorted(shuffled(train, f"seed {seed}")[:chosen]), "val": sorted(val), "test": sorted(test)}


def together(parts: Sequence[list[str]], copies: Copies) -> list[list[str]]:
    """The same parts, each file in that of the first of its copies, by name, that is in one of them."""
    if not copies:
        return list(parts)
    home: dict[str, int] = {}
    for name, part in sorted((name, part) for part, names in enumerate(parts) for name in names if name in copies):
        home.setdefault(copies[name], part)
    found: list[list[str]] = [[] for _ in parts]
    for part, names in enumerate(parts):
        for name in names:
            found[home[copies[name]] if name in copies else part].append(name)
    return found


def drawn(
    given: Mapping[str, list[str]],
    cut: Callable[[list[str], Sequence[float], str, Sequence[int]], list[list[str]]],
    *,
    val_share: float,
    test_share: float,
    seed: int,
    fold: int | None,
    folds: int,
) -> dict[str, list[str]]:
    """Files of all classes together for train, val and test: what is missing is cut off, as `divided` says.

    given: split -> its files, `train` at least. cut: files, shares, a key, and how many groups of a class each part
    needs (two where it will be cut again) -> a part for each share.
    """
    train, val, test = given["train"], given.get("val"), given.get("test")
    whole, key = len(train), f"seed {seed}"
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
        share = min(1.0, val_share * whole / max(len(train), 1))
        train, val = cut(train, (1 - share, share), key, (1, 1))
    return {"train": train, "val": val or [], "test": test or []}


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

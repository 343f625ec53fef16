"""Which images of a class are for training, validation and test?"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from headstart.types import UserError


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
) -> dict[str, list[str]]:
    """The files of one class for train, val and test, each sorted; None = that split has no files of its own.

    Missing test files are half of the val files, or where those are missing too, test_share of the train files: the
    same for every seed. Missing val files are val_share of the train files, by the seed. shots: of what is left to
    train on as many, by the seed; 5 shots of a seed are among its 10.
    Raises UserError where a split would have too few.
    """
    given = {"train": len(train), "val": len(val or ()), "test": len(test or ())}
    if test is None and val is not None:
        val, test = _cut(shuffled(val, "test"), 0.5, len(val))
    elif test is None:
        train, test = _cut(shuffled(train, "test"), test_share, given["train"])
    train = shuffled(train, f"seed {seed}")
    if val is None:
        train, val = _cut(train, val_share, given["train"])
    parts = {"train": train[:shots], "val": val, "test": test}
    if len(parts["train"]) < (shots or 1) or not val or not test:
        there = ", ".join(f"{count} in {split}" for split, count in given.items() if count)
        raise UserError(
            f"class {name} has too few images: {there or 'none'}; that would be {len(train)} to train on, "
            f"{len(val)} for val, {len(test)} for test, where {shots or 1}, 1 and 1 are needed; "
            f"add images{', take fewer shots' if shots else ''} or take the class folder away"
        )
    return {split: sorted(part) for split, part in parts.items()}


def shuffled(names: Iterable[str], key: str) -> list[str]:
    """Sorted by the hash of key and name: chance that no version of a library and no other file can change."""
    return sorted(names, key=lambda name: sha256(f"{key}/{name}".encode()).digest())


def _cut(names: list[str], share: float, whole: int) -> tuple[list[str], list[str]]:
    """What is left, and a share of the whole from the end, one at least."""
    keep = max(0, len(names) - max(1, round(share * whole)))
    return names[:keep], names[keep:]

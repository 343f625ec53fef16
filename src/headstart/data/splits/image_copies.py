"""Copies of an image, files of the same bytes: kept in one split, or left out where the data come with splits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

ByClass = Mapping[str, Sequence[str]]  # class -> files


@dataclass(frozen=True)
class Copies:
    """Which files are copies of one image.

    Args:
        image_of: File -> which image it is, of files of which there are several copies.
        leaves_out: Whether train and val leave out an image that a later one of train, val and test has.
    """

    image_of: Mapping[str, str]
    leaves_out: bool = False

    def __bool__(self) -> bool:
        return bool(self.image_of)

    def image(self, name: str) -> str | None:
        """The image that a file is a copy of, None where it is the only file of it."""
        return self.image_of.get(name)


NO_COPIES = Copies({})


def together(parts: Sequence[Sequence[str]], copies: Copies) -> list[list[str]]:
    """The same parts, each file in that of the first of its copies, by name, that is in one of them."""
    return [list(part.get("", ())) for part in classes_together([{"": part} for part in parts], copies)]


def classes_together(
    parts: Sequence[ByClass], copies: Copies, *, keeps_first: bool = False
) -> list[dict[str, list[str]]]:
    """The same for files by class: copies lie in one part, whatever their classes are.

    Args:
        parts: Class -> files, of each part.
        copies: Which files are copies of one image.
        keeps_first: Whether a class that the first part would lose keeps an image there, as train needs one.
    """
    if not copies:
        return [{name: list(files) for name, files in part.items()} for part in parts]
    home = _homes([[file for files in part.values() for file in files] for part in parts], copies)

    def joined() -> list[dict[str, list[str]]]:
        moved: list[dict[str, list[str]]] = [{name: [] for name in part} for part in parts]
        for number, part in enumerate(parts):
            for name, files in part.items():
                for file in files:
                    moved[home.get(copies.image(file) or "", number)].setdefault(name, []).append(file)
        return moved

    result = joined()
    lost = [name for name, files in parts[0].items() if files and not result[0][name]] if keeps_first else []
    for name in lost:
        home[copies.image_of[parts[0][name][0]]] = 0  # it was moved, and so it is a copy
    return joined() if lost else result


def _homes(parts: Sequence[Iterable[str]], copies: Copies) -> dict[str, int]:
    """Image -> the part of the first of its copies, by name."""
    home: dict[str, int] = {}
    image_of = copies.image_of
    for name, part in sorted((name, part) for part, names in enumerate(parts) for name in names if name in image_of):
        home.setdefault(image_of[name], part)
    return home


def without_crossing(splits: Mapping[str, Sequence[str]], copies: Copies) -> dict[str, list[str]]:
    """Train, val and test, where copies.leaves_out train without images of val and test, and val without those of test.

    Args:
        splits: Split -> files.
        copies: Which files are copies of one image.
    """
    if not copies or not copies.leaves_out:
        return {split: list(names) for split, names in splits.items()}
    files_left: dict[str, list[str]] = {}
    held_out: set[str | None] = set()
    for split in reversed(list(splits)):  # test, val, train
        files_left[split] = [
            name for name in splits[split] if copies.image(name) is None or copies.image(name) not in held_out
        ]
        held_out |= {copies.image(name) for name in files_left[split]} - {None}
    return {split: files_left[split] for split in splits}


def one_of_each(groups: Iterable[Sequence[tuple[str, str]]], order: Sequence[str]) -> set[str]:
    """The files that stay where one copy of each image does: that of the first split in the order, then by name.

    Args:
        groups: Groups of (split that the data come with, file), the copies of one image each.
        order: Splits; those that are first keep their files.
    """
    return {min(group, key=lambda place: (order.index(place[0]), place[1]))[1] for group in groups}

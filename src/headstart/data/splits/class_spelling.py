"""Spellings of class names: accents that are written in two ways, and names that differ in case or spaces alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar
from unicodedata import normalize

from headstart.system.printing.name_listing import first_few
from headstart.types import UserError

PLAIN = re.compile(r"[\w. -]+")  # a name that needs no quotes on a command line
LISTED = 8  # names that a message lists

Content = TypeVar("Content")


def composed_names(of_class: Mapping[str, Content], *, source: object) -> dict[str, Content]:
    """The same classes by their names in Unicode's composed form (NFC), in which é is one character.

    macOS and archives made there have the decomposed form, in which it is two: the same class on another machine.

    Args:
        of_class: Class -> what belongs to it.
        source: What the data are called in messages.

    Raises UserError where two classes have the same name then.
    """
    composed: dict[str, Content] = {}
    origin: dict[str, str] = {}
    for name, content in of_class.items():
        whole = normalize("NFC", name)
        if whole in composed:
            raise UserError(
                f"two classes of {source} are called {whole}, with an accent that is written in two ways: "
                f"{origin[whole]!a} and {name!a}; give both one spelling, so that they are one class"
            )
        composed[whole], origin[whole] = content, name
    return composed


def alike(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Names that differ in case, in width or in spaces alone, together."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_folded(name), []).append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def renaming(names: Sequence[str], others: Sequence[str]) -> str:
    """A mapping for the setting `classes` by which these names become others; empty where no spelling explains it.

    Args:
        names: That are to be called otherwise.
        others: What they may become.
    """
    known = {_folded(name): name for name in others}
    pairs = {name: known[_folded(name)] for name in names if name not in others and _folded(name) in known}
    if not pairs or not all(PLAIN.fullmatch(word) for pair in pairs.items() for word in pair):
        return ""
    return f"{{{first_few([f'{name}: {other}' for name, other in pairs.items()], LISTED)}}}"


def _folded(name: str) -> str:
    return " ".join(normalize("NFKC", name).casefold().replace("_", " ").split())

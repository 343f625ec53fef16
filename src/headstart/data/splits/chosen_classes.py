"""Classes that a run takes of a data set: some of them, in an order of its own, renamed or merged."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from headstart.system.printing.name_listing import first_few
from headstart.types import UserError

LISTED = 10  # classes that an error names


@dataclass(frozen=True)
class ChosenClasses:
    """The classes that a run takes.

    Args:
        names: What they are called, in the order of their numbers.
        members: Of each the classes of the data set that it consists of.
    """

    names: tuple[str, ...]
    members: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        texts = [
            name if members == (name,) else f"{name} ({', '.join(members)})"
            for name, members in zip(self.names, self.members, strict=True)
        ]
        return first_few(texts, LISTED)

    @property
    def number_of(self) -> dict[str, int]:
        """Class of the data set -> number of the class that it belongs to; those that are left out are missing."""
        return {own: number for number, members in enumerate(self.members) for own in members}

    def merged(self, files_of: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        """Class -> files, sorted where classes are merged; without classes that have no folder there.

        Args:
            files_of: Class of the data set -> its files.
        """
        merged_parts = {
            name: [files_of[own] for own in members if own in files_of]
            for name, members in zip(self.names, self.members, strict=True)
        }
        return {
            name: list(parts[0]) if len(parts) == 1 else sorted(file for files in parts for file in files)
            for name, parts in merged_parts.items()
            if parts
        }


def chosen_classes(classes: Sequence[Any] | Mapping[Any, Any] | None, own: Sequence[str]) -> ChosenClasses:
    """The classes that the setting `classes` takes of those that a data set has.

    Args:
        classes: Names of those that are taken, in their order. Or a mapping from names to new ones: the same new name
            merges classes, null leaves one out, and classes that it does not name stay as they are. None takes all.
        own: The classes of the data set, in their order.

    Raises UserError where a name is none of them, or is there twice.
    """
    if classes is None:
        return ChosenClasses(tuple(own), tuple((name,) for name in own))
    if isinstance(classes, Mapping):
        new_of = {_word(name): None if new is None else _word(new) for name, new in classes.items()}
        _check_known(new_of, own)
        members: dict[str, list[str]] = {}
        for name in own:
            if (new := new_of.get(name, name)) is not None:
                members.setdefault(new, []).append(name)
        return ChosenClasses(tuple(members), tuple(map(tuple, members.values())))
    names = [_word(name) for name in classes]
    _check_known(names, own)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"classes must name each class once, got {', '.join(twice)} again")
    return ChosenClasses(tuple(names), tuple((name,) for name in names))


def _word(name: Any) -> str:
    """A class's name, of which YAML may have made a number or true."""
    return str(name).lower() if isinstance(name, bool) else str(name)


def _check_known(names: Collection[str], own: Sequence[str]) -> None:
    unknown = [name for name in names if name not in own]
    if not unknown:
        return
    folded = {name.casefold(): name for name in own}
    close = get_close_matches(unknown[0].casefold(), list(folded), n=1)
    hint = f"; did you mean {folded[close[0]]}?" if close else ""
    raise UserError(
        f"classes must name classes of the data, {first_few(unknown)} "
        f"{'is none' if len(unknown) == 1 else 'are none'} of {first_few(own, LISTED)}{hint}"
    )

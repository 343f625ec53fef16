"""Samples of a WebDataset: which files of one are its image and its class."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from headstart.data.decoding.file_listing import USUAL
from headstart.data.decoding.file_opening import regular
from headstart.data.decoding.utf8_names import utf8
from headstart.types import UserError

LISTED = 5  # classes that an error names


class Sample(NamedTuple):
    """An image of a shard, as it is stored, and the word that says its class."""

    key: str
    image: bytes
    word: str


class SampleLabel(NamedTuple):
    """The same without the image."""

    key: str
    word: str


@dataclass(frozen=True)
class SampleMembers:
    """Which files of a sample are its image and its class: by their extensions, in lower case.

    Args:
        image_key: Extension of the image; None means the first that is an image to Pillow.
        label_key: Extension of the class.
        label_field: Of a label in JSON, the field that holds the class; with dots for fields of fields.
    """

    image_key: str | None
    label_key: str
    label_field: str | None

    def sample(self, given: Mapping[str, Any], url: str) -> Sample:
        """A sample as webdataset groups it. Raises UserError where it has no image or no class."""
        image = self._image_key(given)
        if image is None:
            wanted = f"a member .{self.image_key}" if self.image_key else "an image"
            raise UserError(f"{_members_of(given, url)}, and {wanted} is needed; set image_key to what holds the image")
        return Sample(utf8(str(given["__key__"])), given[image], self.word(given, url))

    def word(self, given: Mapping[str, Any], url: str) -> str:
        """The class that a sample says. Raises UserError where it says none."""
        stored = given.get(self.label_key)
        if stored is None:
            raise UserError(
                f"{_members_of(given, url)}, and a member .{self.label_key} is needed for its class; set label_key "
                "(and label_field, where that is JSON)"
            )
        try:
            text = stored.decode("utf-8-sig").strip()
            word = _field(json.loads(text), self.label_field) if self._is_json else text
        except (UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
            field = f" with a field {self.label_field}" if self.label_field else ""
            text_format = f"JSON{field}" if self._is_json else "text"
            raise UserError(
                f"{_members_of(given, url)}, and .{self.label_key} is no {text_format} ({type(error).__name__}: "
                f"{error}); set label_key and label_field"
            ) from error
        if not word or "\n" in word:
            raise UserError(f"{_members_of(given, url)}, and .{self.label_key} must hold one class, got {word[:40]!r}")
        return utf8(word)  # JSON may hold half a character

    @property
    def _is_json(self) -> bool:
        return self.label_field is not None or self.label_key.rpartition(".")[2] == "json"

    def is_label(self, member: str) -> bool:
        return member.lower().endswith(f".{self.label_key}")

    def _image_key(self, members: Mapping[str, Any]) -> str | None:
        if self.image_key is not None:
            return self.image_key if self.image_key in members else None
        return next((key for key in members if f".{key.rpartition('.')[2]}" in USUAL), None)


@dataclass(frozen=True)
class ClassNumbers:
    """The classes' names; a word of a sample is one of them, or else its number among them."""

    names: tuple[str, ...]

    @classmethod
    def of_words(cls, words: Iterable[str]) -> ClassNumbers:
        """Of all words that there are: numbers in their order, else by the alphabet."""
        distinct = set(words)
        if all(word.isdecimal() for word in distinct):
            return cls(tuple(sorted(distinct, key=lambda word: (int(word), word))))  # 01 and 1: a set has no order
        return cls(tuple(sorted(distinct)))

    def number(self, word: str, where: str) -> int:
        """Raises UserError where it is no class."""
        try:
            return self._numbers[word]
        except KeyError:
            if word.isdecimal() and int(word) < len(self.names):
                return int(word)
        close = get_close_matches(word, self.names, n=1)
        listed = ", ".join(self.names[:LISTED]) + (", ..." if len(self.names) > LISTED else "")
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UserError(
            f"{where} says the class {word!r}, which is none of the {len(self.names)} classes {listed}{hint}"
        )

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.names)}


def listed_class_names(classes: str | Sequence[str]) -> tuple[str, ...]:
    """Names, or those in a file: a JSON list, or one a line. Raises UserError where they are none."""
    if isinstance(classes, str):
        file = Path(classes).expanduser()
        try:
            with regular(file) as stream:
                text = stream.read().decode("utf-8-sig")
            named = json.loads(text) if file.suffix.lower() == ".json" else text.splitlines()
        except (OSError, ValueError) as error:
            raise UserError(
                f"classes must be a list of names, a file with a name a line, or a JSON list, got {classes} "
                f"({type(error).__name__}: {error})"
            ) from error
    else:
        named = list(classes)
    if not isinstance(named, list):
        raise UserError(f"classes must be a list of names, {classes} holds {type(named).__name__}")
    names = tuple(utf8(name) for name in (str(entry).strip() for entry in named) if name)
    if twice := [name for name, number in Counter(names).items() if number > 1]:
        raise UserError(f"classes must be named once each, got {', '.join(twice[:5])} again")
    return names


def _field(value: Any, field: str | None) -> str:
    for name in field.split(".") if field else ():
        value = value[name]
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{field or 'it'} is {type(value).__name__}, not a word or a whole number")
    return str(value).strip()


def _members_of(members: Mapping[str, Any], url: str) -> str:
    listed_members = ", ".join(f".{key}" for key in members if not key.startswith("__")) or "none"
    return f"sample {members['__key__']} of {url} has the members {listed_members}"

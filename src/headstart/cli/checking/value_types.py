"""Check that a value fits an annotation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

UNKNOWN: Final = object()  # a value that only the run will know; it fits everywhere

LARGEST = 2**63 - 1  # the integer that torch and numpy can hold
SCALARS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}
BOUNDS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "ge": ("at least {}", lambda value, bound: value >= bound),
    "gt": ("above {}", lambda value, bound: value > bound),
    "le": ("at most {}", lambda value, bound: value <= bound),
    "lt": ("below {}", lambda value, bound: value < bound),
    "multiple_of": ("a multiple of {}", lambda value, bound: value % bound == 0),
    "min_length": ("at least {} long", lambda value, bound: len(value) >= bound),
    "max_length": ("at most {} long", lambda value, bound: len(value) <= bound),
}


@dataclass(frozen=True)
class Anything:
    """No claim: not annotated, or not to be told from the source."""


@dataclass(frozen=True)
class Instance:
    """An object of a class, which in YAML is a mapping with `_target_`."""

    name: str


NODE: Final = Instance("DictConfig")  # a node of the config as it is


@dataclass(frozen=True)
class Null:
    """null"""


@dataclass(frozen=True)
class Scalar:
    """int, float, bool or str."""

    name: str


@dataclass(frozen=True)
class Choice:
    """One of these values."""

    values: tuple[object, ...]


@dataclass(frozen=True)
class Either:
    """What fits one of these."""

    options: tuple[ValueType, ...]


@dataclass(frozen=True)
class Listing:
    """A list, each item of one type."""

    item: ValueType


@dataclass(frozen=True)
class Row:
    """A list of as many items as there are types."""

    items: tuple[ValueType, ...]


@dataclass(frozen=True)
class Table:
    """A mapping from names to values of one type."""

    value: ValueType


@dataclass(frozen=True)
class Bounded:
    """A type within bounds: pairs of a key of BOUNDS and the bound."""

    inner: ValueType
    bounds: tuple[tuple[str, Any], ...]


ValueType = Anything | Instance | Null | Scalar | Choice | Either | Listing | Row | Table | Bounded


def fits(value: object, kind: ValueType) -> bool:
    """Whether a value of the config may stand where this type is asked."""
    if value is UNKNOWN or (isinstance(value, dict) and "_target_" in value):
        return True  # what a target makes, only the run will know
    match kind:
        case Instance() if kind == NODE:
            return isinstance(value, dict)
        case Anything() | Instance():  # third-party classes often take more than they say
            return True
        case Null():
            return value is None
        case Scalar(name):
            return _fits_scalar(value, name)
        case Choice(values):
            return any(value == choice and type(value) is type(choice) for choice in values)
        case Either(options):
            return _fits_one(value, options)
        case Listing(item):
            return isinstance(value, list) and all(fits(member, item) for member in value)
        case Row(items):
            return (
                isinstance(value, list)
                and len(value) == len(items)
                and all(fits(member, item) for member, item in zip(value, items, strict=True))
            )
        case Table(of):
            return isinstance(value, dict) and all(_fits_in_table(member, of) for member in value.values())
        case Bounded(inner, bounds):
            return fits(value, inner) and _within(value, bounds)


def expected(kind: ValueType) -> str:
    """The type in words, as in "must be ..."."""
    match kind:
        case Anything():
            return "anything"
        case Instance(name):
            return "a mapping" if kind == NODE else f"a {name} (a mapping with _target_)"
        case Null():
            return "null"
        case Scalar(name):
            return SCALARS[name]
        case Choice(values):
            return _joined([_shown(value) for value in values])
        case Either(options):
            told = [option for option in options if not isinstance(option, Instance) or option == NODE]
            return _joined([words for option in told or options for words in _alternatives(option)])
        case Listing(item):
            return "a list" if isinstance(item, Anything) else f"a list (of {expected(item)})"
        case Row(items):
            return f"a list of {len(items)} ({', '.join(expected(item) for item in items)})"
        case Table(of):
            return "a mapping from names to mappings with _target_" if _is_object(of) else "a mapping"
        case Bounded(inner, bounds):
            limits = dict(bounds)
            if set(limits) == {"ge", "le"}:
                return f"{expected(inner)} from {limits['ge']} to {limits['le']}"
            texts = [BOUNDS[name][0].format(bound) for name, bound in bounds]
            return f"{expected(inner)} {' and '.join(texts)}"


def choices(kind: ValueType) -> list[str]:
    """The words that may stand here, where the type is a choice of words."""
    match kind:
        case Choice(values):
            return [value for value in values if isinstance(value, str)]
        case Either(options):
            return [word for option in options for word in choices(option)]
        case Bounded(inner):
            return choices(inner)
    return []


def is_plain(kind: ValueType) -> bool:
    """Whether only numbers, texts, true, false and null may stand here, so that no object can."""
    match kind:
        case Null() | Scalar() | Choice():
            return True
        case Either(options):  # torch's rates are `float | Tensor`
            return all(option == Instance("Tensor") or is_plain(option) for option in options)
        case Bounded(inner):
            return is_plain(inner)
    return False


def _alternatives(kind: ValueType) -> list[str]:
    return [_shown(value) for value in kind.values] if isinstance(kind, Choice) else [expected(kind)]


def _joined(words: list[str]) -> str:
    *most, last = dict.fromkeys(words)
    return f"{', '.join(most)} or {last}" if most else last


def _shown(value: object) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _fits_in_table(value: object, kind: ValueType) -> bool:
    """As `fits`, but that in a mapping from names to objects no plain value is one."""
    return fits(value, kind) and not (_is_object(kind) and isinstance(value, str | int | float))


def _is_object(kind: ValueType) -> bool:
    """Whether an object of a class is asked, or null in its place."""
    options = kind.options if isinstance(kind, Either) else (kind,)
    return Instance in map(type, options) and all(isinstance(option, Instance | Null) for option in options)


def _fits_scalar(value: object, name: str) -> bool:
    if isinstance(value, bool):  # a bool is an int in Python, a mistake in YAML
        return name == "bool"
    kinds: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "bool": (), "str": (str,)}
    return isinstance(value, kinds[name]) and is_computable(value)


def is_computable(value: object) -> bool:
    """False of a number that nothing can compute with: nan, infinity, an integer of more than 64 bits."""
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or -LARGEST <= value <= LARGEST


def _fits_one(value: object, options: tuple[ValueType, ...]) -> bool:
    told = [option for option in options if not isinstance(option, Instance | Null)]
    # `float | Tensor` asks a number of YAML; a class alone may take what it likes
    asked = [option for option in options if told == [] or not isinstance(option, Instance)]
    return any(fits(value, option) for option in asked)


def _within(value: object, bounds: tuple[tuple[str, Any], ...]) -> bool:
    for name, bound in bounds:
        try:
            if not BOUNDS[name][1](value, bound):
                return False
        except TypeError:  # null within `Annotated[int | None, Ge(0)]`: a bound says nothing about it
            continue
    return True

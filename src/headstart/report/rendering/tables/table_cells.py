"""Tables of a report as rows of cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TableCell:
    """One cell."""

    text: str
    below: str = ""  # smaller, under it
    link: str = ""


@dataclass(frozen=True)
class ReportTable:
    """A title and rows of cells; the first cell of a row names it."""

    title: str
    head: list[str]
    rows: list[list[TableCell]]
    note: str = ""


def plain_value(value: object) -> str:
    """A value as YAML writes it: null, true, 0.1."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def three_digits(value: object) -> str:
    """A float with three significant digits; anything else as it is."""
    return f"{value:.3g}" if isinstance(value, float) else plain_value(value)


def distinct_values(dicts: list[dict[str, Any]], key: str) -> str:
    """The values that the dicts have for a key, joined by "or"."""
    return " or ".join(dict.fromkeys(str(d[key]) for d in dicts if d.get(key) is not None)) or "not recorded"

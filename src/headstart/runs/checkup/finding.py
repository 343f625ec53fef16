"""One line of what `task=doctor` finds."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Finding(NamedTuple):
    """What was looked at, and what was found.

    Attributes:
        name: What was looked at.
        state: failed: runs cannot work here; limited: something that a run may ask for is missing.
        text: What was found, on one line.
    """

    name: str
    state: Literal["ok", "limited", "failed"]
    text: str

    def __str__(self) -> str:
        mark = {"ok": "ok", "limited": "--", "failed": "NO"}[self.state]
        return f"{mark}  {self.name:<10}  {self.text}"

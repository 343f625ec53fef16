"""Names with a fixed meaning in schedules: all, biases, norms, adapters."""

from __future__ import annotations

ALL = "all"  # every part
ADAPTERS = "adapters"
KINDS = ("biases", "norms", ADAPTERS)  # of the stages, not of the head


def within(part: str, kind: str) -> str:
    """The selector of one kind of parameters in one part: `layer4:adapters`."""
    return f"{part}:{kind}"


def split(selector: str) -> tuple[str, str] | None:
    """The part and the kind of a selector such as `layer4:adapters`; None for any other selector."""
    part, _, kind = selector.rpartition(":")
    return (part, kind) if part and kind in KINDS else None

"""Names with a fixed meaning in schedules and rates: all, biases, norms, adapters, bottleneck."""

from __future__ import annotations

ALL = "all"  # every part
ADAPTERS = "adapters"
BOTTLENECK = "bottleneck"  # a stage that is as new as the head (backbones/bottleneck.py)
KINDS = ("biases", "norms", ADAPTERS)  # of the stages, not of the head


def within(part: str, kind: str) -> str:
    """The selector of one kind of parameters in one part: `layer4:adapters`."""
    return f"{part}:{kind}"


def split(selector: str) -> tuple[str, str] | None:
    """The part and the kind of a selector such as `layer4:adapters`; None for any other selector."""
    part, _, kind = selector.rpartition(":")
    return (part, kind) if part and kind in KINDS else None

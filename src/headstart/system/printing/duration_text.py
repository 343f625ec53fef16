"""Durations as people read them."""

from __future__ import annotations

import math


def duration_text(seconds: float) -> str:
    """`1:02:03` or `2:03`; empty where it is nan.

    Args:
        seconds: The duration.
    """
    if math.isnan(seconds):
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

"""Source only: the baseline that looks at no target image."""

from __future__ import annotations

from headstart.adaptation.adaptation import Adaptation


class SourceOnly(Adaptation):
    """Adds nothing, and looks at no target image: what an adaptation must be better than."""

    reads_paired = False

    def __init__(self) -> None:
        super().__init__(weight=0, ramp="constant")

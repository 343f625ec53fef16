"""Source risk: the loss on the validation images of the source."""

from __future__ import annotations

from headstart.selection.selection import Selection


class SourceRisk(Selection):
    """The mean cross-entropy on the source's val, which the module logs: it looks at no target image."""

    metric = "val/loss"
    mode = "min"

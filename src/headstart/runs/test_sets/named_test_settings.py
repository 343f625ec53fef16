"""Settings of a named test set besides those of its data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Interval

from headstart.data.transforms.corruptions.corruption_kinds import Kind

Severity = Annotated[int, Interval(ge=1, le=5)]


@dataclass(frozen=True, kw_only=True)
class NamedTestSettings:
    """What `tests.<name>` takes besides the settings of a data set; the command line reads it without importing it.

    Args:
        split: Of other data, the split that is taken; None means all images.
        corruption: A kind of headstart.data.transforms.corruptions, several, or `all` for the 13 that ImageNet-C's mean
            is of; None means the images as they are.
        severity: 1 to 5, or several of them.
    """

    split: Literal["train", "val", "test"] | None = None
    corruption: Kind | Literal["all"] | list[Kind] | None = None
    severity: Severity | list[Severity] = 3

"""Which nouns do all parts share?"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # the report and the command line import this file and must not pull torch in
    from torch import Tensor

SPLITS = ("train", "val", "test")


class UserError(Exception):
    """What the user can mend: the message says what was expected, what came, and what to try."""


class Batch(NamedTuple):
    """Images and their classes."""

    image: Tensor  # (B, channels, H, W), float32, normalised as the backbone's pixels say
    label: Tensor  # (B,), int64


class Pixels(NamedTuple):
    """The images that a backbone expects."""

    size: int  # height and width, in pixels
    channels: int  # 1 = grey, 3 = RGB
    mean: tuple[float, ...]  # one a channel, of values in [0, 1]
    std: tuple[float, ...]

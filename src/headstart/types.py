"""Types that all rooms share: batches, pixel formats, errors of the user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:  # the report and the command line import this file and must not pull torch in
    from torch import Tensor

SPLITS = ("train", "val", "test")


class UserError(Exception):
    """What the user can mend: the message says what was expected, what came, and what to try."""


class OutcomeError(Exception):
    """What became of a job, told in its message; no mistake of the user, and no bug whose trace would help."""


class DivergedError(OutcomeError):
    """A run whose training has diverged: it has its result, which says so, and the message says when and on what."""


class PrunedError(OutcomeError):
    """A run that a search has stopped, as its val metric was hopeless: it has its result, which says so."""


class NotReproducedError(OutcomeError):
    """A run that was made again has other values than it had."""


class Batch(NamedTuple):
    """Images and their classes, or what the first stages make of these images."""

    # what enters the backbone's stage `start`; at 0 (B, channels, H, W), uint8 as they are or float32 normalised as
    # the backbone's pixels say, else what the stage before gave
    image: Tensor
    # (B,), int64; of several labels an image (B, classes), float32, 0 or 1; of numbers (B, columns), float32; once
    # images are mixed (modules/classifier.py) shares (B, classes), float32
    label: Tensor
    start: int = 0
    position: Tensor | None = None  # (B,), int64, of each image in its split, where that is known
    paired: Batch | None = None  # of another data set, where a run learns from two at once
    labelled: Batch | None = None  # of the few target images whose labels may be read, where there are such
    view: Tensor | None = None  # the same images as `image`, augmented otherwise, where an adaptation asks for it


LARGER = 256 / 224  # how much larger than its centre an image is before the cut, as for ImageNet evaluations


class Pixels(NamedTuple):
    """The images that a backbone expects."""

    size: int  # height and width, in pixels
    channels: int  # 1 = grey, 3 = RGB
    mean: tuple[float, ...]  # one a channel, of values in [0, 1]
    std: tuple[float, ...]
    resize: int | None = None  # pixels of the shorter side before the centre is cut out; None = 256/224 of size
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"

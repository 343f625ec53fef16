"""Lengths of the objects in two domains whose images have a plain background, and the box that draws both alike."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from PIL import Image

from headstart.data.datasets.labelled_split import Split
from headstart.data.datasets.paired_domains import Domains
from headstart.data.decoding.object_box import is_plain, object_extent
from headstart.types import Pixels

log = logging.getLogger(__name__)
LOOKED_AT = 256  # training images of each domain
DIFFERENT = 1.1  # times as long


def log_lengths(data: Any) -> None:
    """Log how long objects are in both domains, where these have a plain background and the lengths differ.

    Args:
        data: The data of a run, set up; of one that does not adapt nothing is logged.
    """
    if not isinstance(data, Domains):
        return
    source, target = (
        median_length(split, data.pixels) for split in (data.labelled_training, data.hidden.splits["train"])
    )
    if source is None or target is None or max(source, target) < DIFFERENT * min(source, target):
        return
    shorter = round(min(source, target))
    log.info(
        "objects on a plain background are %g of %d pixels long in the source's training images and %g in the target's "
        "(medians; no label is read): source.box=%d target.box=%d draws both alike",
        source, data.pixels.size, target, shorter, shorter,
    )  # fmt: skip


def median_length(split: Split, pixels: Pixels) -> float | None:
    """The median length of the objects in the first images of a split, in pixels of the backbone's frame.

    None where half of the images or more have no plain background.
    """
    positions = np.arange(min(LOOKED_AT, len(split.label)))
    stored = split.at(positions).numpy()
    grey = [np.asarray(Image.fromarray(image).convert("L")) for image in stored]
    extents = [object_extent(image) for image in grey if is_plain(image)]
    scale = pixels.size / max(stored.shape[1:3])
    lengths = [scale * extent.longer_side for extent in extents if extent is not None]
    return float(np.median(lengths)) if len(lengths) > len(positions) / 2 else None

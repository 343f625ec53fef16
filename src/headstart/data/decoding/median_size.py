"""Sizes of the images of a split before they are resized."""

from __future__ import annotations

from typing import Any

import numpy as np

from headstart.data.data_protocols import StoredSizes

LOOKED_AT = 512  # images; the classes take turns in a split, so that all are among the first


def median_side(split: Any) -> float:
    """The side, in pixels, of a square of the images' median area: of the first of them, as they were stored.

    A split whose images are resized when it gives them says their own `extents(positions)`; another one's are what
    it gives.
    """
    positions = np.arange(min(LOOKED_AT, len(split.label)))
    if isinstance(split, StoredSizes):
        area = split.extents(positions).prod(axis=1)
    else:
        image = split.at(positions[:1])
        area = np.array([image.shape[1] * image.shape[2]])
    return float(np.sqrt(np.median(area)))

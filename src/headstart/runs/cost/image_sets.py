"""Sets of images by their content, so that what several jobs cache is counted once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.data.data_protocols import has_contents

MOST = 50_000  # images of a data set whose contents are compared; to compare more would take minutes of reading


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images of which each counts once.

    Args:
        key: Two sets with the same key are the same images.
        count: Of the images.
        digests: The first 8 bytes of each image's digest (count,), ascending; None where contents were not read.
    """

    key: str
    count: int
    digests: NDArray[np.uint64] | None = None


def image_set(data: Any, split: str, key: str, *, images: int | None = None, views: int = 0) -> ImageSet:
    """The images of a split of a data module that is set up.

    Args:
        data: The data module.
        split: Of the data.
        key: What tells the split's images from those of other data.
        images: As if there were so many; None takes those that are there.
        views: Augmented views of each image, which no other image has; 0 is the images as they are.
    """
    if images is not None or views or sum(data.sizes.values()) > MOST or not has_contents(data):
        return ImageSet(f"{key}:{split}:{views}", max(1, views) * (data.sizes[split] if images is None else images))
    return digest_set(f"{key}:{split}", data.contents(split))


def digest_set(key: str, contents: Iterable[str]) -> ImageSet:
    """The set of images with these contents, 32 hex digits each; images of the same content are one."""
    digests = np.unique(np.array([int(content[:16], 16) for content in contents], np.uint64))
    return ImageSet(key, len(digests), digests)


def united_count(sets: Iterable[ImageSet]) -> int:
    """How many images lie in one of the sets at least; sets without digests share images only where they are equal."""
    by_key = {one.key: one for one in sets}
    known = [one.digests for one in by_key.values() if one.digests is not None]
    united = reduce(np.union1d, known) if known else ()
    return len(united) + sum(one.count for one in by_key.values() if one.digests is None)

"""Digests of the images and labels of a run's data."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from torch import Tensor

from headstart.data.data_protocols import PairedImages, has_contents, image_names
from headstart.types import SPLITS

MOST = 50_000  # images of a split whose contents are read for it


def data_digest(data: Any, splits: Sequence[str] = SPLITS) -> dict[str, Any]:
    """What each split holds, in its order, as 32 hex digits: two runs with equal digests learn from the same images.

    The digest is of each image's content and its label. Of a stream, and of a split of more than 50,000 images, whose
    files would have to be read for it, names stand in the place of contents. Labels that are hidden, or that only
    reading all images would tell, are left out. Of data that know neither names nor contents none is made.

    Args:
        data: A run's data, set up.
        splits: That are looked at.

    Returns:
        {split: {images, digest, of}}, where `of` names what the digest is of; of data with a paired set of other data
        that one's digests as `paired`.
    """
    digests: dict[str, Any] = {split: _of_split(data, split) for split in splits if data.sizes.get(split)}
    paired = data.paired if isinstance(data, PairedImages) else None
    return digests if paired is None else {**digests, "paired": data_digest(paired, splits)}


def _of_split(data: Any, split: str) -> dict[str, Any]:
    images = int(data.sizes[split])
    parts, of = _parts(data, split, images)
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(f"{part}\n".encode())
    labels = getattr(data.plain_dataloader(split), "labels", None)
    if isinstance(labels, Tensor):
        digest.update(f"{tuple(labels.shape)} {labels.dtype}".encode())
        digest.update(np.ascontiguousarray(labels.numpy()).tobytes())
        of = f"{of} and labels"
    return {"images": images, "digest": digest.hexdigest(), "of": of}


def _parts(data: Any, split: str, images: int) -> tuple[Sequence[str], str]:
    if has_contents(data) and images <= MOST:
        try:
            return data.contents(split), "contents"
        except NotImplementedError:  # a stream
            pass
    return image_names(data, split, images), "names"

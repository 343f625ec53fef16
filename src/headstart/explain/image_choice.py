"""Choice of the images that are explained, and of those that are searched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from headstart.backbones.denormalise import eight_bit
from headstart.data.data_protocols import image_names
from headstart.data.splits.hidden_labels import (
    HiddenLabelError as HiddenLabelError,  # which a kind meets that reads such labels
)
from headstart.explain.picture_protocol import ExplainedImages
from headstart.types import Batch


def images_of(data: Any, split: str, count: int) -> ExplainedImages:
    """The first images of a split, in which classes take turns; their labels where these are not hidden.

    Raises UserError where there is no such split.
    """
    data.plain_dataloader(split)  # the data say whether there is one
    positions = np.arange(min(count, data.sizes[split]))
    batches = list(data.plain_dataloader(split, positions=positions))
    pixels = torch.cat([eight_bit(batch.image, data.pixels) for batch in batches])
    known = all(isinstance(batch.label, Tensor) for batch in batches)
    return ExplainedImages(
        pixels,
        names_of(data, split)[: len(positions)],
        torch.cat([batch.label for batch in batches]) if known else None,
    )


def batches_of(data: Any, split: str, batch_size: int) -> Iterator[Batch]:
    """All images of a split, uint8, no more than batch_size at once; what stands for hidden labels stays that."""
    for batch in data.plain_dataloader(split):
        for at in range(0, len(batch.label), batch_size):
            part = slice(at, at + batch_size)
            yield Batch(eight_bit(batch.image[part], data.pixels), batch.label[part])


def names_of(data: Any, split: str) -> tuple[str, ...]:
    """What each image of a split is called."""
    return tuple(image_names(data, split, data.sizes[split]))

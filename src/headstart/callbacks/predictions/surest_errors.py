"""The most confident wrong predictions among those of several batches or ranks."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from headstart.modules.labels.label_kinds import Labels
from headstart.modules.labels.multi_label import SeveralLabels
from headstart.modules.labels.number_targets import NumberTargets
from headstart.modules.labels.single_label import OneLabel

KINDS: dict[int, type[Labels]] = {1: OneLabel, 2: SeveralLabels}  # by the dimensions of the labels of several images


class SurestErrors(NamedTuple):
    """Logits and labels of images that were predicted wrong, and the images."""

    logits: Tensor  # (N, classes)
    labels: Tensor  # (N,) or (N, classes)
    images: Tensor  # (N,) their positions in the split, or (N, channels, H, W) where these are not known

    @classmethod
    def none(cls) -> SurestErrors:
        return cls(torch.empty(0), torch.empty(0), torch.empty(0))


def split_images(images: Tensor, data: Any) -> Tensor:
    """The images themselves (N, channels, H, W), of the test split where these are positions (N,)."""
    if images.ndim > 1:
        return images
    return torch.cat([batch.image for batch in data.plain_dataloader("test", positions=images.numpy())])


def kind_of(labels: Tensor, *, numbers: bool) -> type[Labels]:
    """The kind of labels (N,), (N, classes) or, of numbers, (N, columns)."""
    return NumberTargets if numbers else KINDS[labels.ndim]


def surest_errors(parts: list[SurestErrors], count: int, kind: type[Labels] | None = None) -> SurestErrors:
    """The `count` surest wrong predictions of several lists, the surest first; kind: None is of classes."""
    filled = [part for part in parts if len(part.labels)]
    if not filled:
        return SurestErrors.none()
    logits, labels, images = (torch.cat(part) for part in zip(*filled, strict=True))
    order = (kind or KINDS[labels.ndim]).sureness(logits, labels).argsort(descending=True, stable=True)[:count]
    return SurestErrors(logits[order], labels[order], images[order])

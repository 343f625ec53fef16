"""Predictions on the images of a loader, gathered over all ranks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from headstart.adaptation.adaptation import Side
from headstart.callbacks.checkpoints.per_rank_state import of_each_rank
from headstart.features.cache.cached_activations import Engine
from headstart.modules.classifier import Classifier
from headstart.types import Batch


class PredictedBatch(NamedTuple):
    """Features, logits and labels of some images."""

    side: Side
    position: Tensor  # (N,) where they lie in their split

    @classmethod
    def of(cls, side: Side, batch: Batch) -> PredictedBatch:
        assert batch.position is not None  # the data can be looked up, they are no stream
        return cls(side, batch.position)


def predicted_batches(module: Classifier, batches: Iterable[Batch], engine: Engine) -> Iterator[PredictedBatch]:
    """The predictions of the module on each batch, in the mode that it is in."""
    for batch in batches:
        image = engine.convert(batch).image.to(engine.device, non_blocking=True)
        with engine.context():
            side = module.side(batch._replace(image=image))
        yield PredictedBatch.of(side, batch)


def of_all_ranks(own: Mapping[str, Sequence[PredictedBatch]]) -> dict[str, Side]:
    """The predictions of all ranks on each split, in its order, float32 on the CPU; all ranks must ask for it.

    A split of which no rank has any is left out.
    """
    everywhere = of_each_rank({split: _joined(parts) for split, parts in own.items()})
    wholes = {split: _joined([part for of_rank in everywhere if (part := of_rank[split]) is not None]) for split in own}
    return {split: _ordered(whole) for split, whole in wholes.items() if whole is not None}


def _ordered(whole: PredictedBatch) -> Side:
    side, order = whole.side, whole.position.argsort()
    return Side(side.features[order], side.logits[order], None if side.label is None else side.label[order])


def _joined(parts: Sequence[PredictedBatch]) -> PredictedBatch | None:
    """All parts as one, on the CPU; None of none."""
    if not parts:
        return None
    features = torch.cat([part.side.features for part in parts]).float().cpu()
    logits = torch.cat([part.side.logits for part in parts]).float().cpu()
    labels = [part.side.label for part in parts if part.side.label is not None]
    label = torch.cat(labels).cpu() if labels else None
    return PredictedBatch(Side(features, logits, label), torch.cat([part.position for part in parts]).cpu())

"""Features of the target's images by one candidate: one pass over train and val, through the feature cache."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from headstart.runs.candidates.candidate import SourceCandidate
from headstart.runs.candidates.ranking.source_softmax import SourceSoftmax, source_softmax
from headstart.runs.candidates.ranking.static_facts import StaticFacts, static_facts
from headstart.runs.folder.run_folder import finished
from headstart.runs.probing.frozen_features import frozen
from headstart.runs.probing.one_class_check import one_class_check
from headstart.types import UserError

check_labels = one_class_check(
    "task=rank_sources and task=rank_check compare sources by classes",
    of_numbers="compare them by headstart -m task=probe mode=feature_extraction backbone=...",
    of_labels="compare runs of each source instead: headstart -m mode=fine_tuning weights=...",
)


@dataclass(frozen=True)
class CandidateFeatures:
    """What a candidate makes of the target's images.

    Attributes:
        stages: The training images' features after each stage (N, D), pooled over space, from the input on.
        labels: Of the training images (N,).
        val: The val images' features after the last stage, and their labels; of none where there are no val images.
        softmax: The source's own, of the training images.
        static: What is known without the target.
        origin: Where the weights come from.
        class_names: Of the target.
        seconds: Of the pass over the images, the weights already there.
    """

    stages: dict[str, NDArray[np.float32]]
    labels: NDArray[np.int64]
    val: tuple[NDArray[np.float32], NDArray[np.int64]]
    softmax: SourceSoftmax
    static: StaticFacts
    origin: dict[str, object] | None
    class_names: tuple[str, ...]
    seconds: float

    @property
    def last(self) -> NDArray[np.float32]:
        """The training images' features after the last stage."""
        return next(reversed(self.stages.values()))


def candidate_features(candidate: SourceCandidate) -> CandidateFeatures:
    """The features of a candidate, of train and val images alone; a source that is not there yet is developed.

    Args:
        candidate: That can be computed, as headstart.runs.candidates.candidate_check says.

    Raises:
        UserError: The target's labels are not one class an image, or a developed source is no good.
    """
    try:
        model = frozen(candidate.cfg, None, check=check_labels)
    except UserError as error:
        raise UserError(f"candidate {candidate.text!r}: {error}") from error
    data, begun = model.parts.data, time.monotonic()
    names = list(model.stages)
    train = model.features("train", names)
    val = (torch.empty(0, model.parts.backbone.width), torch.empty(0, dtype=torch.int64))
    if data.sizes.get("val", 0):
        stored = model.features("val", names[-1:])
        val = stored.features[names[-1]], stored.label
    stages = {name: train.features[name].numpy() for name in names}
    several = bool(((finished(candidate.run) if candidate.run else None) or {}).get("multi_label"))
    return CandidateFeatures(
        stages=stages,
        labels=train.label.numpy().astype(np.int64),
        val=(val[0].numpy(), val[1].numpy().astype(np.int64)),
        softmax=source_softmax(model.weights.head, stages[names[-1]], multi_label=several),
        static=static_facts(model.parts.backbone, dict(model.weights.facts), candidate.run),
        origin=dict(model.weights.facts) or None,
        class_names=tuple(data.class_names),
        seconds=time.monotonic() - begun,
    )

"""One candidate of a ranking: its scores, those of halves of the images, those of each stage, and its val accuracy."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from headstart.evaluation.naive_models import wilson_interval
from headstart.features.probing.logistic_probe import logistic
from headstart.features.probing.probes import LabelledFeatures, Probe, ProbeData, best_by, candidates
from headstart.runs.candidates.candidate import SourceCandidate
from headstart.runs.candidates.ranking.candidate_features import CandidateFeatures
from headstart.runs.candidates.ranking.candidate_scores import OF_SOFTMAX, ScoreValue, parts_of, score_values
from headstart.runs.candidates.ranking.stratified_halves import stratified_halves, stratified_sample
from headstart.scores.logistic_accuracy import STRENGTHS

DEPTH_BY = "neighbours"  # stages are compared by it: an accuracy means the same at any width, and this one is cheap


@dataclass(frozen=True)
class RankingSettings:
    """How candidates are scored.

    Attributes:
        by: The score that the recommendation follows.
        scores: All that are computed, `by` among them.
        neighbours: k of the nearest neighbours.
        sample: Images that the scores which need all of them in memory are computed on, at most.
        half_samples: Halves of the images; 0 for no intervals.
        half_images: Images that are halved, at most.
        depth: Whether the stages before the last are scored too.
        seed: Of the samples.
    """

    by: str
    scores: tuple[str, ...]
    neighbours: int
    sample: int
    half_samples: int
    half_images: int
    depth: bool
    seed: int


@dataclass(frozen=True)
class ImageSamples:
    """Which of the training images are looked at, the same for all candidates.

    Attributes:
        labels: Of all training images (N,).
        sample: Positions of those for scores that need all in memory.
        halved: Positions of those that are halved.
        halves: Positions in `halved`.
    """

    labels: NDArray[np.int64]
    sample: NDArray[np.int64]
    halved: NDArray[np.int64]
    halves: list[NDArray[np.int64]]


def image_samples(labels: NDArray[np.int64], settings: RankingSettings) -> ImageSamples:
    """The samples of the training images.

    Args:
        labels: Of all of them (N,).
        settings: Of the ranking.

    Raises:
        UserError: Halves are wanted, and no class has two images.
    """
    rng = np.random.default_rng(settings.seed)
    sample = stratified_sample(labels, settings.sample, rng)
    halved = stratified_sample(labels, settings.half_images, rng, of_each=4)
    halves = stratified_halves(labels[halved], settings.half_samples, rng)
    return ImageSamples(labels, sample, halved, halves)


@dataclass(frozen=True)
class CandidateRow:
    """What is known of a candidate.

    Attributes:
        candidate: The candidate.
        features: Of which the arrays are left out.
        values: Of each part of a score, on the last stage.
        missing: Why a score is not there.
        halves: Of each part (draws,).
        stages: Width of each stage, from the input on.
        by_stage: Stage -> part -> value.
        stage_halves: Of the accuracy that stages are compared by, (draws, stages).
        val: Accuracy of a logistic probe on val, its 95 % interval and the number of images; None without val images.
        seconds: Of all scores.
    """

    candidate: SourceCandidate
    features: CandidateFeatures
    values: dict[str, ScoreValue]
    missing: dict[str, str]
    halves: dict[str, NDArray[np.float64]]
    stages: dict[str, int]
    by_stage: dict[str, dict[str, float]]
    stage_halves: NDArray[np.float64]
    val: tuple[float, tuple[float, float], int] | None
    seconds: float = field(default=0.0)


def candidate_row(
    candidate: SourceCandidate, features: CandidateFeatures, samples: ImageSamples, settings: RankingSettings
) -> CandidateRow:
    """The scores of a candidate.

    Args:
        candidate: Whose features these are.
        features: Of the target's images.
        samples: Of the training images.
        settings: Of the ranking.
    """
    begun = time.monotonic()
    softmax, reason = features.softmax
    parts = parts_of(settings.scores)
    k = settings.neighbours
    values, missing = score_values(parts, features.last, features.labels, softmax, neighbours=k, sample=samples.sample)
    missing |= {name: reason for name in settings.scores if name in OF_SOFTMAX and softmax is None}
    halves = _halves(list(values), features.last, samples, softmax, k)
    by_stage, stage_halves = _stages(features, samples, settings, values, halves)
    return CandidateRow(
        candidate=candidate,
        features=features,
        values=values,
        missing=missing,
        halves=halves,
        stages={name: array.shape[1] for name, array in features.stages.items()},
        by_stage=by_stage,
        stage_halves=stage_halves,
        val=_val_accuracy(features, samples),
        seconds=time.monotonic() - begun,
    )


def _halves(
    parts: Sequence[str],
    features: NDArray[np.float32],
    samples: ImageSamples,
    softmax: NDArray[np.float64] | None,
    neighbours: int,
) -> dict[str, NDArray[np.float64]]:
    """Part -> its value on each half (draws,); one that a half does not have is nan."""
    drawn: dict[str, list[float]] = {part: [] for part in parts}
    for half in samples.halves:
        chosen = samples.halved[half]
        of_softmax = None if softmax is None else softmax[chosen]
        found, _ = score_values(parts, features[chosen], samples.labels[chosen], of_softmax, neighbours=neighbours)
        for part in parts:
            drawn[part].append(found[part].value if part in found else float("nan"))
    return {part: np.array(values, dtype=np.float64) for part, values in drawn.items()}


def _stages(
    features: CandidateFeatures,
    samples: ImageSamples,
    settings: RankingSettings,
    values: dict[str, ScoreValue],
    halves: dict[str, NDArray[np.float64]],
) -> tuple[dict[str, dict[str, float]], NDArray[np.float64]]:
    """Stage -> part -> value, and the halves of the accuracy that stages are compared by (draws, stages)."""
    by, k = DEPTH_BY, settings.neighbours
    last = next(reversed(features.stages))
    parts = [part for part in dict.fromkeys([*parts_of(settings.scores), by]) if part not in OF_SOFTMAX]
    of_stage: dict[str, dict[str, float]] = {}
    drawn = []
    for stage, array in features.stages.items() if settings.depth else ():
        if stage == last and by in values:
            of_stage[stage] = {part: value.value for part, value in values.items() if part in parts}
            drawn.append(halves[by])
            continue
        found, _ = score_values(parts, array, features.labels, None, neighbours=k, sample=samples.sample)
        of_stage[stage] = {part: value.value for part, value in found.items()}
        own = _halves([by], array, samples, None, k)
        drawn.append(own[by])
    return of_stage, np.array(drawn, dtype=np.float64).T


def _val_accuracy(features: CandidateFeatures, samples: ImageSamples) -> tuple[float, tuple[float, float], int] | None:
    """Accuracy on val of a logistic probe that train has fitted, its penalty chosen on val."""
    array, labels = features.val
    if not len(labels) or not np.isfinite(array).all() or not np.isfinite(features.last).all():
        return None
    train, classes = samples.sample, len(features.class_names)

    def fitted(material: ProbeData) -> Probe:
        heads = logistic(material.principal_axes, material.train.labels, material.num_classes, STRENGTHS)
        return Probe.of_heads(heads, [{"C": value} for value in STRENGTHS], material.scale)

    material = ProbeData(
        LabelledFeatures(torch.from_numpy(features.last[train]), torch.from_numpy(features.labels[train])),
        LabelledFeatures(torch.from_numpy(array), torch.from_numpy(labels)),
        classes,
    )
    best = best_by(lambda _: "", candidates({"logistic": fitted}, "", material))[""]
    return best.right / len(labels), wilson_interval(best.right, len(labels)), len(labels)

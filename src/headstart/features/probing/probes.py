"""Probes on one stage, and the choice of the best one on val."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from headstart.features.principal_axes import PrincipalAxes, principal_axes
from headstart.features.probing.stacked_heads import StackedHeads
from headstart.features.probing.standardisation import Standardisation, standardisation


class LabelledFeatures(NamedTuple):
    """The features of images and their classes."""

    features: Tensor  # (N, D)
    labels: Tensor  # (N,)


@dataclass(frozen=True)
class ProbeData:
    """The features that probes of one stage learn from: training images, and val where they stop by it.

    Args:
        train: Training images.
        val: Images on which training may stop.
        num_classes: Of the labels.
    """

    train: LabelledFeatures
    val: LabelledFeatures
    num_classes: int

    @cached_property
    def scale(self) -> Standardisation:
        """That of the training features."""
        return standardisation(self.train.features)

    @cached_property
    def scaled(self) -> Tensor:
        """The training features on that scale (N, D)."""
        return self.scale.of(self.train.features)

    @cached_property
    def principal_axes(self) -> PrincipalAxes:
        """Those of the scaled training features."""
        return principal_axes(self.scaled)


@dataclass(frozen=True)
class Probe:
    """What one kind of head has learned on one stage, under several settings.

    Args:
        settings: Of each head.
        predict: Features (N, D) and numbers of settings -> predicted classes (settings, N).
    """

    settings: Sequence[Mapping[str, Any]]
    predict: Callable[[Tensor, Sequence[int]], Tensor]  # features (N, D), numbers of settings -> classes (len, N)

    @classmethod
    def of_heads(
        cls, heads: StackedHeads, settings: Sequence[Mapping[str, Any]], scale: Standardisation | None = None
    ) -> Probe:
        """Of linear heads, one a setting, on features as they are or on this scale."""
        heads = StackedHeads(heads.weight.float(), heads.bias.float())  # as exact as features are

        def predict(features: Tensor, fits: Sequence[int]) -> Tensor:
            chosen = StackedHeads(heads.weight[list(fits)], heads.bias[list(fits)])
            return chosen.predictions(features if scale is None else scale.of(features))

        return cls(settings, predict)


ProbeKind = Callable[[ProbeData], Probe]


@dataclass(frozen=True)
class Candidate:
    """One head, and its correct predictions on val.

    Args:
        kind: Of the head.
        stage: Whose features it reads.
        setting: That it has learned with.
        right: Correctly classified val images.
        probe: Which has the head.
        number: Of its setting.
    """

    kind: str
    stage: str
    setting: Mapping[str, Any]
    right: int
    probe: Probe
    number: int  # of its setting

    def rightly(self, images: LabelledFeatures) -> int:
        """On how many images it is right."""
        return int((self.probe.predict(images.features, [self.number])[0] == images.labels).sum())


def candidates(kinds: Mapping[str, ProbeKind], stage: str, material: ProbeData) -> list[Candidate]:
    """Each kind under each of its settings on one stage, in their order."""
    tried = []
    for kind, learn in kinds.items():
        probe = learn(material)
        if not probe.settings:
            continue
        predicted = probe.predict(material.val.features, range(len(probe.settings)))
        right = (predicted == material.val.labels).sum(dim=1).tolist()
        tried += [
            Candidate(kind, stage, setting, count, probe, number)
            for number, (setting, count) in enumerate(zip(probe.settings, right, strict=True))
        ]
    return tried


def best_by(key: Callable[[Candidate], str], tried: Iterable[Candidate]) -> dict[str, Candidate]:
    """For each value of the key the candidate that is right most often on val; of equals the first."""
    best: dict[str, Candidate] = {}
    for candidate in tried:
        if key(candidate) not in best or candidate.right > best[key(candidate)].right:
            best[key(candidate)] = candidate
    return best


def first_empty(labels: Tensor, num_classes: int) -> int | None:
    """The first class that no label (N,) names, None where each has one."""
    missing = (torch.bincount(labels, minlength=num_classes) == 0).nonzero()
    return int(missing[0]) if len(missing) else None

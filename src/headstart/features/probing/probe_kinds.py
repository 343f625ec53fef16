"""Kinds of probes, and the settings that each is tried with."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from headstart.features.probing.linear_probe import trained
from headstart.features.probing.logistic_probe import logistic
from headstart.features.probing.neighbour_probe import NeighbourMeasure, neighbours
from headstart.features.probing.probes import Probe, ProbeData, ProbeKind
from headstart.features.probing.ridge_probe import ridge
from headstart.features.probing.stacked_heads import StackedHeads

LINEAR = "linear"  # the kind that learns by steps


class ProbeSettings(NamedTuple):
    """The settings that each kind of head is tried with; a kind without any is left out."""

    lr: list[float]
    weight_decay: list[float]
    epochs: int
    batch_size: int
    stops: bool  # at the best epoch on val
    measures: list[NeighbourMeasure]
    ks: list[int]
    temperature: float
    ridge: list[float]
    logistic: list[float]
    seed: int

    @property
    def grid(self) -> list[tuple[float, float]]:
        return list(product(self.lr, self.weight_decay))

    def named(self) -> dict[str, ProbeKind]:
        """The kinds that have a setting, the plainer first: of equals on val the first counts."""
        kinds: dict[str, ProbeKind] = {}
        if self.measures and self.ks:
            kinds["neighbours"] = self._neighbours
        if self.ridge:
            kinds["ridge"] = self._ridge
        if self.logistic:
            kinds["logistic"] = self._logistic
        if self.grid:
            kinds[LINEAR] = self._linear
        return kinds

    def _neighbours(self, material: ProbeData) -> Probe:
        train, classes = material.train, material.num_classes  # not all of the material: predict would keep it
        ks = [k for k in self.ks if k <= len(train.labels)]
        settings = [{"measure": measure, "k": k} for measure in self.measures for k in ks]

        def predict(features: Tensor, fits: Sequence[int]) -> Tensor:
            wanted: dict[NeighbourMeasure, list[int]] = {}
            for number in fits:
                measure, place = divmod(number, len(ks))
                wanted.setdefault(self.measures[measure], []).append(ks[place])
            predicted = [
                neighbours(*train, features, classes, measure=measure, ks=some, temperature=self.temperature)
                for measure, some in wanted.items()
            ]
            return torch.cat(predicted)

        return Probe(settings, predict)

    def _ridge(self, material: ProbeData) -> Probe:
        heads = ridge(material.principal_axes, material.train.labels, material.num_classes, self.ridge)
        return Probe.of_heads(heads, [{"strength": value} for value in self.ridge], material.scale)

    def _logistic(self, material: ProbeData) -> Probe:
        heads = logistic(material.principal_axes, material.train.labels, material.num_classes, self.logistic)
        return Probe.of_heads(heads, [{"C": value} for value in self.logistic], material.scale)

    def _linear(self, material: ProbeData) -> Probe:
        val_features = material.scale.of(material.val.features)

        def score(heads: StackedHeads) -> Tensor:
            return (heads.predictions(val_features) == material.val.labels).sum(dim=1)

        trained_heads = trained(
            material.scaled, material.train.labels, material.num_classes, self.grid, epochs=self.epochs,
            batch_size=self.batch_size, seed=self.seed, score=score if self.stops else None,
        )  # fmt: skip
        settings = [
            {"lr": lr, "weight_decay": decay} | ({"epoch": epoch} if self.stops else {})
            for (lr, decay), epoch in zip(self.grid, trained_heads.epoch.tolist(), strict=True)
        ]
        return Probe.of_heads(trained_heads.heads, settings, material.scale)

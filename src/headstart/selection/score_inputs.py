"""Features and logits of images of the source and of the target, and importance weights."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from headstart.adaptation.adaptation import Side
from headstart.selection.density_ratio import density_ratio


@dataclass(frozen=True, eq=False)
class Sides:
    """Features (N, D) and logits (N, C), float32 on the CPU, of unaugmented images in the order of their data.

    source_train: of a fixed few, None where the run goes on without the source's training images. source_val: of all,
    as the validation sees them. target_val: the same; its label is None, the others' are (N,), int64.
    """

    source_train: Side | None
    source_val: Side
    target_val: Side
    _weights: dict[float, Tensor] = field(default_factory=dict, init=False, repr=False)

    def few(self, most: int) -> tuple[Side, Side]:
        """At most so many images of source_val and of target_val: in random order, and always the same ones."""
        return _few(self.source_val, most), _few(self.target_val, most)

    def weights(self, *, strength: float) -> Tensor:
        """How much likelier each image of source_val is among the target's than among the source's (N,), float64.

        strength: as density_ratio says. Made once for all who ask; nan where features are not finite.
        """
        if strength not in self._weights:
            self._weights[strength] = self._ratios(strength)
        return self._weights[strength]

    def _ratios(self, strength: float) -> Tensor:
        assert self.source_train is not None  # else scores that weigh are left out: checkpoint_selection.py
        source, at = self.source_train.features, self.source_val.features
        target = self.target_val.features[: len(source)]  # their order says nothing
        if not all(bool(features.isfinite().all()) for features in (source, target, at)):
            return torch.full((len(at),), torch.nan, dtype=torch.float64)
        return density_ratio(source, target, at, strength=strength)


def _few(side: Side, most: int) -> Side:
    chosen = torch.randperm(len(side.features), generator=torch.Generator().manual_seed(0))[:most]
    return Side(side.features[chosen], side.logits[chosen], None if side.label is None else side.label[chosen])

"""Standardisation of features to mean 0 and variance 1."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

CONSTANT = 1e-6  # of a feature's mean: what varies less is a constant with float32's rounding on it


class Standardisation(NamedTuple):
    """The means and standard deviations of features."""

    mean: Tensor  # (D,)
    std: Tensor  # (D,), 1 for a feature that does not vary

    def of(self, features: Tensor) -> Tensor:
        """Features (N, D) on this scale; those that did not vary are centred only."""
        return (features - self.mean) / self.std


def standardisation(features: Tensor) -> Standardisation:
    """The scale on which these features (N, D) have mean 0 and variance 1 (over N, not N - 1)."""
    mean, std = features.mean(dim=0), features.std(dim=0, correction=0)
    return Standardisation(mean, std.where(std > CONSTANT * mean.abs(), 1.0))
